/* fastforward.c - forward by a database of aliases
 *
 * usage: fastforward [-nNpPdD] cdb
 *
 * The recipient is RECIPIENT; with -d DEFAULT@HOST, or EXT@HOST. Its instructions are
 * those of user@host, else of @host, else of user@. -n says what would be done, on
 * stderr. -p passes on what the database does not know. See aliases.h for what
 * it holds, newaliases and setforward for what makes it.
 *
 * exit: 0 done (-p: not known), 99 done with -p, 100 never, no such address; 111 try later.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "aliases.h"
#include "cdbmap.h"
#include "expand.h"
#include "helper.h"
#include "program.h"

#define USAGE "fastforward [-nNpPdD] cdb"

struct work {
  int pass; /* -p */
  int env;  /* -d */
  stralloc sender;
  struct expand e;
};

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, USAGE);
}

/* A damaged database may say of an address that is there that it is not. */
static int unknown(struct work *w)
{
  struct cdbmap_stamp stamp = {0};
  if (cdbmap_verify(w->e.db, &stamp) == -1) expand_failed(&w->e);
  if (w->pass) return 0;
  strerr_die(EXIT_PERMANENT, "Sorry, no mailbox here by that name. (#5.1.1)");
}

/* Does the sender get bounces? Then an owner gets them in his place. */
static void choose_sender(struct work *w, char const *addr)
{
  stralloc owner = STRALLOC_ZERO;
  char const *sender = w->e.describe ? getenv("SENDER") : helper_env("SENDER");
  if (!sender) sender = "original envelope sender";
  int bounces = *sender && strcmp(sender, "#@[]");
  if (bounces && expand_get(&w->e, ALIASES_OWNER, addr, 1, &owner))
    helper_add(&w->sender, owner.s, owner.len);
  else
    helper_add(&w->sender, sender, strlen(sender));
  helper_add(&w->sender, "", 1);
}

static void deliver(struct work *w)
{
  stralloc const *rcpts = &w->e.forward;
  if (!rcpts->len && w->e.skipped && !w->e.ran)
    strerr_dief(EXIT_TEMPORARY, w->e.path, ": these aliases lead in a circle, and to nobody");
  if (!rcpts->len) {
    if (w->e.describe) expand_say("", "", "no forwarding\n");
    return;
  }
  if (!w->e.describe) return queue_say(queue_forward(w->sender.s, rcpts));
  expand_say("from <", w->sender.s, ">\n");
  for (size_t i = 0; i < rcpts->len; i += strlen(rcpts->s + i) + 1)
    expand_say("to <", rcpts->s + i, ">\n");
}

/* The address that the message came to. */
static void recipient(struct work const *w, stralloc *addr)
{
  char const *s = w->env ? getenv("DEFAULT") : helper_env("RECIPIENT");
  if (!s) s = helper_env("EXT");
  helper_add(addr, s, strlen(s));
  if (w->env) {
    helper_add(addr, "@", 1);
    s = helper_env("HOST");
    helper_add(addr, s, strlen(s));
  }
  helper_add(addr, "", 1);
}

static int forward(struct work *w)
{
  stralloc addr = STRALLOC_ZERO;
  recipient(w, &addr);
  int r = cdbmap_open(&w->e.db, AT_FDCWD, w->e.path);
  if (!r) errno = ENOENT;
  if (r != 1) expand_failed(&w->e);
  choose_sender(w, addr.s);
  if (!expand_recipient(&w->e, addr.s)) return unknown(w);
  deliver(w);
  return w->pass ? HELPER_STOP : 0;
}

int fastforward_main(int argc, char const *const *argv)
{
  struct work w = {0};
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "nNpPdD", &l)) != -1;) switch (opt) {
    case 'n': w.e.describe = 1; break;
    case 'N': w.e.describe = 0; break;
    case 'p': w.pass = 1; break;
    case 'P': w.pass = 0; break;
    case 'd': w.env = 1; break;
    case 'D': w.env = 0; break;
    default: usage();
    }
  if (l.ind + 1 != argc) usage();
  w.e.path = argv[l.ind];
  return forward(&w);
}
