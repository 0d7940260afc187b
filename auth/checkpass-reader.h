/* checkpass-reader.h - the process that reads what a client of SCRAM says, so that root need not
 *
 * It is made before a byte is read, has no rights and no keys, and is asked twice over a nameless
 * socket (SOCK_SEQPACKET), in packets of fixed size: struct reader_task goes to it, struct reader_first
 * comes back for the client's first message, struct reader_final for its final one. Of the answers the
 * other side looks at the lengths, and that the login has no NUL: all else are bytes to it.
 */
#ifndef PIPIT_AUTH_CHECKPASS_READER_H
#define PIPIT_AUTH_CHECKPASS_READER_H

#include <stdint.h>
#include <sys/types.h>

#include "authwire.h"
#include "scram.h"

struct reader_task {
  char ours[SCRAM_OURS]; /* our part of the nonce */
  uint16_t len;
  char kind;                  /* AUTHWIRE_DATA: with it the message came */
  char s[AUTHWIRE_SCRAM_MAX]; /* the client's message */
};

struct reader_first {
  uint16_t loginlen, barelen;
  uint16_t noncelen; /* 0: the message is none, or asks for what is not offered */
  char login[AUTHWIRE_LOGIN_MAX];
  char bare[AUTHWIRE_SCRAM_MAX]; /* the message without its gs2 header */
  char nonce[SCRAM_NONCE_MAX];   /* the client's */
};

struct reader_final {
  uint16_t len; /* 0: the message is none */
  unsigned char proof[SCRAM_KEY];
  char without_proof[AUTHWIRE_SCRAM_MAX];
};

/* Start it: its pid, and <*fd> to it; -1 with errno. Exits where accounts cannot be looked up. */
extern pid_t reader_start(int *fd);

/* End it. */
extern void reader_end(pid_t pid);

/* It has ended by itself: say of what, and exit. */
extern void reader_lost(pid_t pid) __attribute__((noreturn));

/* What it does with either message. */
extern void reader_take_first(struct scram *s, struct reader_task const *t, struct reader_first *f);
extern void reader_take_final(struct scram *s, struct reader_task const *t, struct reader_final *f);

#endif
