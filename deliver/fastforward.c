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
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/bytestr.h>
#include <skalibs/djbunix.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "aliases.h"
#include "cdbmap.h"
#include "helper.h"
#include "program.h"

#define USAGE     "fastforward [-nNpPdD] cdb"
#define LIST_MAX  67108864 /* bytes of a file of addresses */
#define STEPS_MAX 100000   /* addresses and lists that one message leads to */

struct work {
  int describe; /* -n */
  int pass;     /* -p */
  int env;      /* -d */
  char const *path;
  struct cdbmap *db;
  stralloc sender;
  stralloc todo;    /* addresses ("&...") and lists; the last one is next */
  stralloc forward; /* addresses, in reverse order */
  size_t steps;
  int ran;     /* a program was run */
  int skipped; /* an address led back to itself */
  void *seen; /* of tsearch: what was in todo */
};

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
  strerr_dieusage(EXIT_PERMANENT, USAGE);
}

static void say(char const *before, char const *s, char const *after)
{
  buffer_puts(buffer_2, before);
  for (; *s; s++) buffer_put(buffer_2, (unsigned char)*s < ' ' ? "_" : s, 1);
  buffer_puts(buffer_2, after);
  buffer_flush(buffer_2);
}

static void damaged(char const *path, char const *mend) __attribute__((noreturn));
static void damaged(char const *path, char const *mend)
{
  strerr_dief(EXIT_TEMPORARY, path, " is damaged: ", mend);
}

static void read_error(struct work const *w) __attribute__((noreturn));
static void read_error(struct work const *w)
{
  if (errno == EPROTO) damaged(w->path, "make it again with newaliases or setforward");
  strerr_diefusys(EXIT_TEMPORARY, "read ", w->path);
}

static int get(struct work *w, enum aliases_kind kind, char const *addr, int wild, stralloc *value)
{
  value->len = 0;
  int r = aliases_find(w->db, kind, addr, strlen(addr), wild, value);
  if (r == -1) read_error(w);
  return r;
}

static int compare(void const *a, void const *b)
{
  return strcmp(a, b);
}

/* Has <s> been here before, in upper or lower case? From now on it has. */
static int is_old(struct work *w, char const *s)
{
  char *copy = strdup(s);
  if (!copy) helper_nomem();
  if (*s == '&') case_lowers(copy);
  char **there = tsearch(copy, &w->seen, compare);
  if (!there) helper_nomem();
  if (*there == copy) return 0;
  free(copy);
  return 1;
}

/* What leads back to the recipient is not followed again. */
static void mark(struct work *w, char const *recipient)
{
  stralloc instruction = STRALLOC_ZERO;
  helper_add(&instruction, "&", 1);
  helper_add_string(&instruction, recipient);
  is_old(w, instruction.s);
  stralloc_free(&instruction);
}

static void push(struct work *w, char const *s)
{
  if (++w->steps > STEPS_MAX)
    strerr_dief(EXIT_TEMPORARY, "this leads to more than 100000 addresses: use a mailing list");
  helper_add_string(&w->todo, s);
}

static void run(struct work *w, char const *instruction)
{
  stralloc head = STRALLOC_ZERO;
  w->ran = 1;
  if (w->describe) return say("run ", instruction, "\n");
  if (*instruction == '!') child_add_prelines(&head);
  child_shell(instruction + 1, *instruction == '!' ? &head : 0);
  stralloc_free(&head);
  queue_rewind();
}

static void follow(struct work *w, stralloc const *instructions)
{
  char const *one;
  int r;
  for (size_t pos = 0; (r = aliases_next(instructions->s, instructions->len, &pos, &one));) {
    if (r == -1) damaged(w->path, "make it again with newaliases or setforward");
    if (*one == '|' || *one == '!') run(w, one);
    else push(w, one);
  }
}

/* A list may be another user's: it is read only if everybody could, and no program of it is run. */
static void follow_list(struct work *w, char const *path)
{
  struct stat st;
  stralloc list = STRALLOC_ZERO;
  char const *one;
  int r;
  if (stat(path, &st) == -1) strerr_diefusys(EXIT_TEMPORARY, "read ", path);
  if ((st.st_mode & 0444) != 0444)
    strerr_dief(EXIT_TEMPORARY, path, " is not world-readable");
  if (!helper_slurp(path, &list, LIST_MAX)) strerr_diefusys(EXIT_TEMPORARY, "read ", path);
  for (size_t pos = 0; (r = aliases_next(list.s, list.len, &pos, &one));) {
    if (r == -1 || *one == '|' || *one == '!')
      damaged(path, "make it again with newinclude or setmaillist");
    push(w, one);
  }
  stralloc_free(&list);
}

/* An address with an owner of its own goes through the queue, and gets him there. */
static void follow_address(struct work *w, char const *addr)
{
  stralloc value = STRALLOC_ZERO;
  if (!get(w, ALIASES_OWNER, addr, 0, &value) && get(w, ALIASES_INSTRUCTIONS, addr, 0, &value))
    follow(w, &value);
  else
    helper_add_string(&w->forward, addr);
  stralloc_free(&value);
}

/* A damaged database may say of an address that is there that it is not. */
static int unknown(struct work *w)
{
  struct cdbmap_stamp stamp = {0};
  if (cdbmap_verify(w->db, &stamp) == -1) read_error(w);
  if (w->pass) return 0;
  strerr_die(EXIT_PERMANENT, "Sorry, no mailbox here by that name. (#5.1.1)");
}

/* Does the sender get bounces? Then an owner gets them in his place. */
static void choose_sender(struct work *w, char const *addr)
{
  stralloc owner = STRALLOC_ZERO;
  char const *sender = w->describe ? getenv("SENDER") : helper_env("SENDER");
  if (!sender) sender = "original envelope sender";
  int bounces = *sender && strcmp(sender, "#@[]");
  if (bounces && get(w, ALIASES_OWNER, addr, 1, &owner))
    helper_add(&w->sender, owner.s, owner.len);
  else
    helper_add(&w->sender, sender, strlen(sender));
  helper_add(&w->sender, "", 1);
}

/* The place where the last string of <list> begins. */
static size_t last(stralloc const *list)
{
  size_t i = list->len - 1;
  while (i && list->s[i - 1]) i--;
  return i;
}

static void expand(struct work *w)
{
  while (w->todo.len) {
    char *s = strdup(w->todo.s + (w->todo.len = last(&w->todo)));
    if (!s) helper_nomem();
    if (is_old(w, s)) w->skipped = 1;
    else if (*s == '&') follow_address(w, s + 1);
    else follow_list(w, s);
    free(s);
  }
}

static void deliver(struct work *w)
{
  stralloc rcpts = STRALLOC_ZERO;
  if (!w->forward.len && w->skipped && !w->ran)
    strerr_dief(EXIT_TEMPORARY, w->path, ": these aliases lead in a circle, and to nobody");
  if (!w->forward.len) {
    if (w->describe) say("", "", "no forwarding\n");
    return;
  }
  while (w->forward.len) {
    size_t i = last(&w->forward);
    helper_add_string(&rcpts, w->forward.s + i);
    w->forward.len = i;
  }
  if (!w->describe) return queue_say(queue_forward(w->sender.s, &rcpts));
  say("from <", w->sender.s, ">\n");
  for (size_t i = 0; i < rcpts.len; i += strlen(rcpts.s + i) + 1) say("to <", rcpts.s + i, ">\n");
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
  stralloc addr = STRALLOC_ZERO, instructions = STRALLOC_ZERO;
  recipient(w, &addr);
  int r = cdbmap_open(&w->db, AT_FDCWD, w->path);
  if (!r) errno = ENOENT;
  if (r != 1) read_error(w);
  choose_sender(w, addr.s);
  if (get(w, ALIASES_INSTRUCTIONS, addr.s, 0, &instructions)) mark(w, addr.s);
  else if (!get(w, ALIASES_INSTRUCTIONS, addr.s, 1, &instructions)) return unknown(w);
  follow(w, &instructions);
  expand(w);
  deliver(w);
  return w->pass ? HELPER_STOP : 0;
}

int fastforward_main(int argc, char const *const *argv)
{
  struct work w = {0};
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, "nNpPdD", &l)) != -1;) switch (opt) {
    case 'n': w.describe = 1; break;
    case 'N': w.describe = 0; break;
    case 'p': w.pass = 1; break;
    case 'P': w.pass = 0; break;
    case 'd': w.env = 1; break;
    case 'D': w.env = 0; break;
    default: usage();
    }
  if (l.ind + 1 != argc) usage();
  w.path = argv[l.ind];
  return forward(&w);
}
