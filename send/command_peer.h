/* command_peer.h - the connections of those who command send; sendwire.h has what is said */
#ifndef PIPIT_SEND_COMMAND_PEER_H
#define PIPIT_SEND_COMMAND_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "command.h"
#include "selector.h"
#include "sendwire.h"

enum step {
  STEP_FREE,     /* no command here */
  STEP_ASKING,   /* its packet has not come yet */
  STEP_LISTING,  /* what is held is being told */
  STEP_KEEPER,   /* the keeper has the change of what is held */
  STEP_QUEUED,   /* another command is at work */
  STEP_WALKING,  /* messages are looked for */
  STEP_REMOVING, /* and lose their recipients */
  STEP_SYNCING   /* the keeper has all of it */
};

struct peer {
  enum step step;
  int fd; /* -1: it has gone; the command goes on */
  int blocked;
  uint64_t deadline; /* clock_ms() till which it has to ask, or to take an answer */
  uint64_t tell_at;
  uint64_t order; /* commands take their turns by it */
  uint64_t seq;   /* of the packet to the keeper that is waited for */
  char command;
  char packet[SENDWIRE_MAX]; /* holds the selector's value */
  struct selector sel;
  size_t listed;
  int changed;
  uint64_t messages, rcpts;
};

struct peers {
  int fd;    /* it listens */
  int group; /* members of the group gid may ask too */
  gid_t gid;
  struct peer all[COMMAND_PEERS];
};

/* Listen. 1, or 0 with errno. */
extern int peers_listen(struct peers *ps, int group);
/* Take new connections; those who may not ask are told so. */
extern void peers_accept(struct peers *ps);
/* Read the command of a peer that is asking. 1, or 0: not now, or it is free now. */
extern int peer_read(struct peer *p);
/* Answer, and with K, Z and D make it free. 1, or 0: not now (P, L, the end of a list). */
extern int peer_answer(struct peer *p, struct sendwire_answer const *a);
/* Answer with Z or D and a text. */
extern void peer_refuse(struct peer *p, char type, char const *text);
/* It has gone. */
extern void peer_lost(struct peer *p);

#endif
