/* helper.h - what the programs of pipit-helper share
 *
 * One file that is linked under many names: each is a small program, most of them for lines of
 * dot-qmail files. A function NAME_main is one of them, and returns its exit code; every other
 * function here either does its work or ends the program, with a line on stderr.
 */
#ifndef PIPIT_HELPER_H
#define PIPIT_HELPER_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/stralloc.h>

#include "names.h"

extern names_main autoresponder_main, bouncesaying_main, condredirect_main, datemail_main,
    dotforward_main, except_main, fastforward_main, forward_main, maildir2mbox_main,
    maildirmake_main, mailsubj_main, newaliases_main, newinclude_main, pop3d_main, predate_main,
    preline_main, printforward_main, printmaillist_main, qreceipt_main, setforward_main, setmaillist_main,
    vacation_main;

#define HELPER_STOP 99 /* exit code: done, and qmail-local ignores the lines that follow */

extern void helper_nomem(void) __attribute__((noreturn));

/* The environment's <name>; without it, wrong usage. */
extern char const *helper_env(char const *name);

extern void helper_add(stralloc *sa, char const *s, size_t len);
/* <s> with its NUL: an element of a list. */
extern void helper_add_string(stralloc *list, char const *s);

/* Append the regular file <path>, of at most <max> bytes, whose mode has <bits>. 1; 0 when there is
 * none. */
extern int helper_slurp(char const *path, stralloc *sa, size_t max, unsigned int bits);

/* Make <path> hold <text>, by way of <tmp> and on disk: the old file stays until the new one is
 * whole. */
extern void helper_replace(char const *path, char const *tmp, stralloc const *text,
                           unsigned int mode);

/* --- child.c --- */

/* Run argv[0], found by PATH, with our descriptors. Its exit code; a program that cannot be run, or
 * that was killed, is local trouble. */
extern int child_run(char const *const *argv);

/* The same with <head> and the rest of descriptor 0 for its standard input. It need not read all.
 */
extern int child_feed(char const *const *argv, stralloc const *head);

/* Run <line> with /bin/sh, and <head> and descriptor 0 as above (NULL: descriptor 0 itself), as
 * a program line of a dot-qmail file. Returns when it succeeded; its failure is ours. */
extern void child_shell(char const *line, stralloc const *head);

/* The names of the variables UFLINE, RPLINE and DTLINE; append those that are there. */
extern char const *const child_prelines[3];
extern void child_add_prelines(stralloc *head);

/* --- queue.c --- */

/* Set descriptor 0 to the start of the message. */
extern void queue_rewind(void);

/* Queue DTLINE and the rest of descriptor 0 from <sender> to the addresses of the list
 * <rcpts>. What qmail calls qp: the id of the new message, or the pid of QMAILQUEUE's program. */
extern uint64_t queue_forward(char const *sender, stralloc const *rcpts);

/* Queue the message <text>, from nobody. */
extern uint64_t queue_notice(stralloc const *text, char const *rcpt);

/* Append Date and Message-ID fields. */
extern void queue_stamp(stralloc *out);

/* Say "<program>: qp <qp>". */
extern void queue_say(uint64_t qp);

#endif
