/* mode.h - which of its programs this process is: pipit-smtpd, or pipit-ofmipd or pipit-popup, names of
 * the same file
 */
#ifndef PIPIT_SMTPD_MODE_H
#define PIPIT_SMTPD_MODE_H

struct mode {
  char const *program;  /* for log lines */
  int submission;       /* pipit-ofmipd: who has not logged in sends nothing; headers are mended */
  int pop3;             /* pipit-popup */
  char const *names;    /* the name cdb that its command line names; or NULL: control/ofmipname.cdb */
  char const *port;     /* that is listened on without -p */
  char const *rules;    /* the tcprules file without -x, below the home */
  char const *limit;    /* the control file that says how many sessions a listener may have */
  char const *limit_client; /* and how many for each client */
  /* Replies to clients that are not served, without CR LF. */
  char const *denied, *trouble, *full, *full_client;
};

/* What is the same for both that speak SMTP. */
#define MODE_SMTP                                                                                  \
  .limit = "concurrencysmtpd", .limit_client = "concurrencysmtpdclient",                           \
  .denied = "554 access denied", .trouble = "421 4.3.0 local trouble, try again later",            \
  .full = "421 4.3.2 too many connections, try again later",                                       \
  .full_client = "421 4.3.2 too many connections from you, try again later"

/* Set by main, for the others than pipit-smtpd. */
extern struct mode mode;

#endif
