/* outcome.c - collect results; see outcome.h */

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "outcome.h"

int outcome_start(struct outcome *o, size_t n)
{
  if (n > SIZE_MAX / sizeof *o->rcpts) return (errno = ENOMEM, 0);
  if (n > o->nrcpts || !o->rcpts) {
    struct verdict *rcpts = realloc(o->rcpts, (n ? n : 1) * sizeof *rcpts);
    if (!rcpts) return 0;
    o->rcpts = rcpts;
  }
  o->nrcpts = n;
  memset(o->rcpts, 0, n * sizeof *o->rcpts);
  memset(&o->message, 0, sizeof o->message);
  o->trouble = 0;
  o->text.len = 0;
  o->dsn = o->final = 0;
  o->host = o->tls = 0;
  return 1;
}

/* The text in one piece: <format>, then who the server <host> is and what it said, cut to what a
 * result may hold. */
static size_t compose(char text[JOB_TEXT_MAX], char const *host, struct smtpreply const *said,
                      char const *format, va_list args)
{
  int n = vsnprintf(text, JOB_TEXT_MAX, format, args);
  size_t len = n < 0 ? 0 : (size_t)n < JOB_TEXT_MAX ? (size_t)n : JOB_TEXT_MAX - 1;
  for (size_t i = 0; i < len; i++)
    if (text[i] != '\n' && (text[i] < 32 || text[i] > 126)) text[i] = '?';
  if (!said) return len;
  int named = host && *host;
  n = snprintf(text + len, JOB_TEXT_MAX - len, "%s%s%sRemote host said: %.*s",
               named ? "Remote host is " : "", named ? host : "", named ? ".\n" : "",
               (int)said->textlen, said->text);
  if (n < 0) return len;
  size_t room = JOB_TEXT_MAX - 1 - len;
  return len + ((size_t)n < room ? (size_t)n : room);
}

static void set(struct outcome *o, struct verdict *v, char letter, char const *text, size_t len)
{
  v->at = o->text.len;
  v->len = stralloc_catb(&o->text, text, len) ? len : 0;
  v->letter = v->len || !len ? letter : 0;
}

static void set_message(struct outcome *o, char letter, struct smtpreply const *said,
                        char const *format, va_list args)
{
  char text[JOB_TEXT_MAX];
  char const *host = letter == 'K' ? 0 : o->host;
  set(o, &o->message, letter, text, compose(text, host, said, format, args));
  if (!o->message.letter) o->message.letter = 'Z';
}

void outcome_message(struct outcome *o, char letter, char const *format, ...)
{
  va_list args;
  va_start(args, format);
  set_message(o, letter, 0, format, args);
  va_end(args);
}

void outcome_message_said(struct outcome *o, char letter, struct smtpreply const *said,
                          char const *format, ...)
{
  va_list args;
  va_start(args, format);
  set_message(o, letter, said, format, args);
  va_end(args);
}

void outcome_rcpt(struct outcome *o, size_t i, char letter, struct smtpreply const *said,
                  char const *format, ...)
{
  char text[JOB_TEXT_MAX];
  va_list args;
  va_start(args, format);
  set(o, o->rcpts + i, letter, text, compose(text, o->host, said, format, args));
  va_end(args);
  if (!o->rcpts[i].letter) o->rcpts[i].letter = 's';
}

void outcome_settle(struct outcome *o, size_t i)
{
  struct verdict *v = o->rcpts + i;
  if (v->letter && v->letter != 'r') return;
  *v = o->message;
  v->letter = v->letter == 'Z' ? 's' : v->letter == 'D' ? 'h' : v->letter;
}

void outcome_finish(struct outcome *o)
{
  size_t i = 0;
  while (i < o->nrcpts && o->rcpts[i].letter != 'K') i++;
  if (o->message.letter == 'K' || i == o->nrcpts) return;
  for (size_t k = 0; k < o->nrcpts; k++) outcome_settle(o, k);
  o->message = o->rcpts[i];
}

char outcome_of(struct outcome const *o, size_t i, char const **text, size_t *len)
{
  struct verdict const *v = o->rcpts + i;
  if (!v->letter || v->letter == 'r') v = &o->message;
  *text = v->len ? o->text.s + v->at : "";
  *len = v->len;
  switch (v->letter) {
  case 'h':
  case 'D': return 'D';
  case 'K': return 'K';
  }
  return 'Z';
}
