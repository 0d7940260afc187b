/* command.h - control of send while it runs: what the tools ask of it (sendwire.h)
 *
 * hold, release: hold.h. Recipients that are held are put off for ever (WAIT_NEVER).
 * try, release, remove: the messages that are meant are found on disk
 * (walk.h); those that wait are made due. To remove recipients, their messages
 * are loaded before all others, for this purpose alone (removal.c).
 */
#ifndef PIPIT_SEND_COMMAND_H
#define PIPIT_SEND_COMMAND_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "idset.h"
#include "selector.h"

#define COMMAND_PEERS    8     /* connections at a time */
#define COMMAND_SECONDS  5     /* that a peer has to ask, and to take an answer */
#define COMMAND_TELL     500   /* milliseconds between two packets that tell how far it is */
#define COMMAND_PICK     5000  /* messages that are found before those that wait are gone through */
#define COMMAND_REMOVING 1000  /* messages that are being removed at a time */
#define COMMAND_FDS      (COMMAND_PEERS + 1)

struct send;
struct msg;
struct rcpt;
struct keeper_reply;

struct removal {
  int on, bounce;
  struct selector sel;
  struct idset pending; /* messages that have recipients to be removed */
  uint64_t messages, rcpts; /* removed */
};

/* command.c: the commands, one after the other. */

/* Read what is held, and listen. 1, or 0 and <*why>, with errno or 0. <group>: members of our group
 * may ask too. */
extern int command_init(struct send *s, int group, char const **why);
/* In a child: close the sockets. */
extern void command_close(struct send *s);
/* What is waited for, COMMAND_FDS of them, and what came of it. */
extern void command_poll(struct send const *s, struct pollfd *p);
extern void command_obey(struct send *s, struct pollfd const *p);
/* Do some of the work. */
extern void command_turn(struct send *s);
/* Milliseconds until a turn is due. */
extern uint64_t command_wait(struct send const *s);
/* The keeper's answer H. */
extern void command_told(struct send *s, struct keeper_reply const *r);

/* A recipient that is not finished is being loaded, by its address in the envelope. 1 it is removed or
 * held, and counted; 0 neither; -1 with ENOMEM. */
extern int command_takes(struct send *s, struct msg *m, uint32_t index, char const *addr, size_t len);

/* removal.c */

extern void removal_begin(struct send *s, struct selector const *sel, int bounce);
extern void removal_end(struct send *s);
/* A message was found that has recipients to be removed. */
extern void removal_add(struct send *s, uint64_t id);
/* Call back what waits at its destination, of those that were added. */
extern void removal_recall(struct send *s);
/* <m> is taken into memory. */
extern void removal_doom(struct send const *s, struct msg *m);
/* This recipient, whose address was rewritten, is being loaded: 1 it is removed, 0 not, -1 with ENOMEM. */
extern int removal_takes(struct send *s, struct msg *m, uint32_t index, char const *addr, size_t len);
/* Some of <m> was loaded. */
extern void removal_loaded(struct send *s, struct msg const *m);
/* <m> leaves memory; <again>: it is to be tried again. 1 when it must be loaded for its removal first. */
extern int removal_left(struct send *s, struct msg const *m, int again);

/* Put off, for ever, those that wait at their destinations and are held. */
extern void hold_sweep(struct send *s);

#endif
