/* mode.h - which of its two programs this process is: pipit-smtpd, or pipit-ofmipd, a name of the same file */
#ifndef PIPIT_SMTPD_MODE_H
#define PIPIT_SMTPD_MODE_H

struct mode {
  char const *program;  /* for log lines */
  int submission;       /* pipit-ofmipd: who has not logged in sends nothing; headers are mended */
  char const *names;    /* the name cdb that its command line names; or NULL: control/ofmipname.cdb */
  char const *port;     /* that is listened on without -p */
  char const *rules;    /* the tcprules file without -x, below the home */
};

/* Set by main, for pipit-ofmipd. */
extern struct mode mode;

#endif
