/* expand.c - what a database of aliases makes of one recipient; see expand.h */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/buffer.h>
#include <skalibs/bytestr.h>
#include <skalibs/strerr.h>

#include "expand.h"
#include "helper.h"
#include "program.h"

#define LIST_MAX  67108864 /* bytes of a file of addresses */
#define STEPS_MAX 100000   /* addresses and lists that one message leads to */

void expand_say(char const *before, char const *s, char const *after)
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

void expand_failed(struct expand const *e)
{
  if (errno == EPROTO) damaged(e->path, "make it again with newaliases or setforward");
  strerr_diefusys(EXIT_TEMPORARY, "read ", e->path);
}

int expand_get(struct expand *e, enum aliases_kind kind, char const *addr, int wild,
               stralloc *value)
{
  value->len = 0;
  int r = aliases_find(e->db, kind, addr, strlen(addr), wild, value);
  if (r == -1) expand_failed(e);
  return r;
}

static int compare(void const *a, void const *b)
{
  return strcmp(a, b);
}

/* Has <s> been here before, in upper or lower case? From now on it has. */
static int is_old(struct expand *e, char const *s)
{
  char *copy = strdup(s);
  if (!copy) helper_nomem();
  if (*s == '&') case_lowers(copy);
  char **there = tsearch(copy, &e->seen, compare);
  if (!there) helper_nomem();
  if (*there == copy) return 0;
  free(copy);
  return 1;
}

/* What leads back to the recipient is not followed again. */
static void mark(struct expand *e, char const *recipient)
{
  stralloc instruction = STRALLOC_ZERO;
  helper_add(&instruction, "&", 1);
  helper_add_string(&instruction, recipient);
  is_old(e, instruction.s);
  stralloc_free(&instruction);
}

static void push(struct expand *e, char const *s)
{
  if (++e->steps > STEPS_MAX)
    strerr_dief(EXIT_TEMPORARY, "this leads to more than 100000 addresses: use a mailing list");
  helper_add_string(&e->todo, s);
}

static void run(struct expand *e, char const *instruction)
{
  stralloc head = STRALLOC_ZERO;
  e->ran = 1;
  if (e->describe) return expand_say("run ", instruction, "\n");
  if (*instruction == '!') child_add_prelines(&head);
  child_shell(instruction + 1, *instruction == '!' ? &head : 0);
  stralloc_free(&head);
  queue_rewind();
}

static void follow(struct expand *e, stralloc const *instructions)
{
  char const *one;
  int r;
  for (size_t pos = 0; (r = aliases_next(instructions->s, instructions->len, &pos, &one));) {
    if (r == -1) damaged(e->path, "make it again with newaliases or setforward");
    if (*one == '|' || *one == '!')
      run(e, one);
    else
      push(e, one);
  }
}

/* A list may be another user's: it is read only if everybody could, and no program of it is run. */
static void follow_list(struct expand *e, char const *path)
{
  stralloc list = STRALLOC_ZERO;
  char const *one;
  int r;
  if (!helper_slurp(path, &list, LIST_MAX, 0444)) strerr_diefusys(EXIT_TEMPORARY, "read ", path);
  for (size_t pos = 0; (r = aliases_next(list.s, list.len, &pos, &one));) {
    if (r == -1 || *one == '|' || *one == '!')
      damaged(path, "make it again with newinclude or setmaillist");
    push(e, one);
  }
  stralloc_free(&list);
}

/* An address with an owner of its own goes through the queue, and gets him there. */
static void follow_address(struct expand *e, char const *addr)
{
  stralloc value = STRALLOC_ZERO;
  if (!expand_get(e, ALIASES_OWNER, addr, 0, &value) &&
      expand_get(e, ALIASES_INSTRUCTIONS, addr, 0, &value))
    follow(e, &value);
  else
    helper_add_string(&e->forward, addr);
  stralloc_free(&value);
}

/* The place where the last string of <list> begins. */
static size_t last(stralloc const *list)
{
  size_t i = list->len - 1;
  while (i && list->s[i - 1]) i--;
  return i;
}

static void expand_all(struct expand *e)
{
  while (e->todo.len) {
    char *s = strdup(e->todo.s + (e->todo.len = last(&e->todo)));
    if (!s) helper_nomem();
    if (is_old(e, s))
      e->skipped = 1;
    else if (*s == '&')
      follow_address(e, s + 1);
    else
      follow_list(e, s);
    free(s);
  }
}

/* What was collected began with the last one. */
static void reverse(stralloc *list)
{
  stralloc other = STRALLOC_ZERO;
  while (list->len) {
    list->len = last(list);
    helper_add_string(&other, list->s + list->len);
  }
  stralloc_free(list);
  *list = other;
}

int expand_recipient(struct expand *e, char const *recipient)
{
  stralloc instructions = STRALLOC_ZERO;
  if (expand_get(e, ALIASES_INSTRUCTIONS, recipient, 0, &instructions))
    mark(e, recipient);
  else if (!expand_get(e, ALIASES_INSTRUCTIONS, recipient, 1, &instructions))
    return 0;
  follow(e, &instructions);
  expand_all(e);
  reverse(&e->forward);
  stralloc_free(&instructions);
  return 1;
}
