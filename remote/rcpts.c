/* rcpts.c - recipients in portions; see rcpts.h */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dsn.h"
#include "params.h"
#include "quote.h"
#include "rcpts.h"

static int says_8bit(char const *extras, size_t len)
{
  static char const body[] = "8BITMIME";
  size_t n;
  char const *s = dsn_find(extras, len, "BODY", &n);
  return s && n == sizeof body - 1 && !strncasecmp(s, body, n);
}

/* Append what struct envelope_rcpt says. As quote_address; no recipient is empty. */
static int put_path(stralloc *out, char const *rcpt, char const *extras, size_t len)
{
  size_t was = out->len;
  if (!*rcpt) return 0;
  int r = stralloc_append(out, '<') ? quote_address(out, rcpt, strlen(rcpt)) : -1;
  if (r == 1 && !(stralloc_catb(out, ">", 2) && params_rcpt(out, extras, len, rcpt) && stralloc_0(out)))
    r = -1;
  if (r != 1) out->len = was;
  return r;
}

static int put_sender(struct envelope *e, struct job const *j, struct outcome *o)
{
  size_t len;
  char const *extras = job_message_extras(j, &len);
  e->sender.len = e->params.len = 0;
  e->body8 = says_8bit(extras, len);
  int r = quote_address(&e->sender, j->sender, strlen(j->sender));
  if (r == 1 && !params_mail(&e->params, extras, len)) r = -1;
  if (!r) outcome_message(o, 'D', "Sorry, the sender's address cannot be sent by SMTP. (#5.1.7)\n");
  if (r == -1) outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
  return r == 1;
}

static void put_rcpt(struct envelope *e, size_t i, char const *rcpt, char const *extras, size_t len,
                     struct outcome *o)
{
  size_t at = e->paths.len;
  int r = put_path(&e->paths, rcpt, extras, len);
  if (r == 1) e->rcpts[e->nrcpts++] = (struct envelope_rcpt){ .index = i, .at = at };
  else if (r == 0)
    outcome_rcpt(o, i, 'h', 0, "Sorry, that address cannot be sent by SMTP. (#5.1.3)\n");
  else outcome_rcpt(o, i, 's', 0, "Out of memory. (#4.3.0)\n");
}

int envelope_build(struct envelope *e, struct job const *j, struct outcome *o)
{
  char const *rcpt = j->rcpts;
  size_t pos = 0;
  size_t len;
  e->paths.len = e->nrcpts = e->first = e->count = 0;
  e->splits = 0;
  if (!e->rcpts) e->rcpts = calloc(JOB_RCPTS_MAX, sizeof *e->rcpts);
  if (!e->rcpts) {
    outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
    return 0;
  }
  if (!put_sender(e, j, o)) return 0;
  for (uint32_t i = 0; i < j->nrcpts; i++, rcpt += strlen(rcpt) + 1) {
    char const *extras = job_rcpt_extras(j, i, &pos, &len);
    put_rcpt(e, i, rcpt, extras, len, o);
  }
  if (!e->nrcpts) outcome_message(o, 'D', "No recipient is left. (#5.1.3)\n");
  return e->nrcpts > 0;
}

/* Note the domain of "<addr>". 1, or 0 when it is one too many. */
static int note_domain(struct envelope_domains *d, char const *path, unsigned int max)
{
  char const *at = strrchr(path, '@');
  char const *domain = at ? at + 1 : path;
  size_t len = strlen(domain);
  if (d->count && len == strlen(d->last) && !strcasecmp(d->last, domain)) return 1;
  if (d->count == max) return 0;
  d->count++;
  if (len > ENVELOPE_DOMAIN_MAX) len = 0; /* then the next one is another, whatever it is */
  memcpy(d->last, domain, len);
  d->last[len] = 0;
  return 1;
}

size_t envelope_begin(struct envelope *e, struct peerlimits const *l, struct envelope_domains *d)
{
  size_t left = e->nrcpts - e->first;
  size_t max = l->rcptmax && l->rcptmax < left ? l->rcptmax : left;
  for (size_t i = e->first; i < e->nrcpts; i++) e->rcpts[i].again = 0;
  e->count = 0;
  while (e->count < max &&
         (!l->rcptdomainmax || note_domain(d, e->paths.s + e->rcpts[e->first + e->count].at,
                                           l->rcptdomainmax)))
    e->count++;
  return e->count;
}

int envelope_is_last(struct envelope const *e)
{
  size_t end = e->first + e->count;
  for (size_t i = e->first; i < end; i++)
    if (e->rcpts[i].again) return 0;
  return end == e->nrcpts;
}

void envelope_end(struct envelope *e, struct outcome *o)
{
  size_t end = e->first + e->count;
  size_t next = end;
  for (size_t i = end; i-- > e->first;) {
    struct envelope_rcpt r = e->rcpts[i];
    if (!r.again) {
      outcome_settle(o, r.index);
      continue;
    }
    e->rcpts[i] = e->rcpts[--next];
    e->rcpts[next] = r;
    e->rcpts[next].put_off = 1;
  }
  e->splits += next < end;
  e->first = next;
  e->count = 0;
}

void envelope_forget(struct envelope const *e, struct outcome *o)
{
  o->message.letter = 0;
  for (size_t i = e->first; i < e->nrcpts; i++) o->rcpts[e->rcpts[i].index].letter = 0;
}
