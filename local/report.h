/* report.h - why a delivery failed: an exit code and the text for the log and the bounce */
#ifndef PIPIT_REPORT_H
#define PIPIT_REPORT_H

#define REPORT_MAX 1024

struct report {
  int code; /* EXIT_PERMANENT or EXIT_TEMPORARY */
  char text[REPORT_MAX];
};

/* Fill in <r>; always 0, so that a function can return it. */
extern int report_fail(struct report *r, int code, char const *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
