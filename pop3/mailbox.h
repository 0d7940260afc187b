/* mailbox.h - a Maildir as POP3 sees it: messages with numbers, which stay as they are
 *
 * What is there is looked at once, at the start. Others may deliver, read, rename and remove
 * at the same time: a message is found again by its name up to the ':', which never changes, and
 * one that is gone stays gone. Only regular files in new/ and cur/ are messages; links are not
 * followed, and neither folder may be one.
 *
 * Messages are in the order of their names, numbers in those by value: that of delivery.
 */
#ifndef PIPIT_POP3_MAILBOX_H
#define PIPIT_POP3_MAILBOX_H

#include <stddef.h>
#include <stdint.h>

#include <skalibs/genalloc.h>
#include <skalibs/stralloc.h>

#define MAILBOX_MESSAGES_MAX 500000   /* further ones are there in the next session */
#define MAILBOX_NAMES_MAX    67108864 /* bytes of names */
#define MAILBOX_UID_MAX      70       /* characters of a unique id (RFC 1939, 7) */

struct mailbox_message {
  uint64_t size; /* octets: ,W= of its name (as sent), else ,S=, else the file's */
  uint32_t name; /* offset in names: what stands before ':', NUL, and what stands behind it, NUL */
  uint8_t in_new;
  uint8_t deleted; /* to be removed by mailbox_settle */
  uint8_t gone;    /* it was not there when it was looked for */
  uint8_t seen;
};

struct mailbox {
  int self, new, cur; /* directories, or -1: no mail yet */
  int base;           /* that of maildirsize, or -1 */
  genalloc messages;  /* of struct mailbox_message */
  stralloc names;
  size_t count;
};

/* Open the Maildir <path>. One that is missing in a folder that is there has no mail yet, and none in
 * this session. 1, or 0 with errno. */
extern int mailbox_open(struct mailbox *b, char const *path);

/* From here on open nothing but what lies in it, and the maildirsize that counts it: Landlock sees
 * to that, where the kernel has it. 1, or 0 with errno. */
extern int mailbox_confine(struct mailbox const *b);

/* See what is in it. 1, or 0 with errno. */
extern int mailbox_look(struct mailbox *b);

/* The message number <i>, from 0. */
extern struct mailbox_message *mailbox_message(struct mailbox const *b, size_t i);

/* Its unique id, as a string: its name up to the ':', or, where that is none by RFC 1939 (longer,
 * or other characters), the SHA-256 of it in hexadecimal digits. */
extern void mailbox_uid(struct mailbox const *b, size_t i, char out[MAILBOX_UID_MAX + 1]);

/* Open it for reading. A descriptor, or -1 with errno: ENOENT when it is gone. */
extern int mailbox_read(struct mailbox *b, size_t i);

/* Remove what is deleted, move what is left in new/ to cur/, and write down in maildirsize, where
 * there is one, what has gone. 1, or 0: something could not be removed. */
extern int mailbox_settle(struct mailbox *b);

#endif
