/* deliver.c - one job; see deliver.h */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver.h"
#include "find.h"
#include "limits.h"
#include "quote.h"
#include "session.h"

static int job_seconds(uint64_t length)
{
  uint64_t s = JOB_SECONDS + length / JOB_RATE;
  return s < INT32_MAX ? (int)s : INT32_MAX;
}

static int says_8bit(struct job const *j)
{
  static char const body[] = "BODY=8BITMIME";
  for (size_t i = 0; i < j->extraslen; i += strlen(j->extras + i) + 1)
    if (!strcasecmp(j->extras + i, body)) return 1;
  return 0;
}

/* Append "<addr>" and its NUL. As quote_address; no recipient is empty. */
static int put_path(stralloc *out, char const *rcpt)
{
  size_t was = out->len;
  if (!*rcpt) return 0;
  int r = stralloc_append(out, '<') ? quote_address(out, rcpt, strlen(rcpt)) : -1;
  if (r == 1) r = stralloc_catb(out, ">", 2) ? 1 : -1;
  if (r != 1) out->len = was;
  return r;
}

static int put_sender(struct envelope *e, struct job const *j, struct outcome *o)
{
  e->sender.len = 0;
  int r = quote_address(&e->sender, j->sender, strlen(j->sender));
  if (!r) outcome_message(o, 'D', "Sorry, the sender's address cannot be sent by SMTP. (#5.1.7)\n");
  if (r == -1) outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
  return r == 1;
}

/* Write the addresses as SMTP wants them; one that must not be sent is refused
 * here. 1 with at least one left; 0 with the verdicts. */
static int build_envelope(struct envelope *e, struct job const *j, struct outcome *o)
{
  char const *rcpt = j->rcpts;
  e->rcpts.len = e->nrcpts = 0;
  e->body8 = says_8bit(j);
  if (!e->index) e->index = calloc(JOB_RCPTS_MAX, sizeof *e->index);
  if (!e->index) {
    outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
    return 0;
  }
  if (!put_sender(e, j, o)) return 0;
  for (size_t i = 0; i < j->nrcpts; i++, rcpt += strlen(rcpt) + 1) {
    int r = put_path(&e->rcpts, rcpt);
    if (r == 1) e->index[e->nrcpts++] = i;
    else if (r == 0)
      outcome_rcpt(o, i, 'h', 0, "Sorry, that address cannot be sent by SMTP. (#5.1.3)\n");
    else outcome_rcpt(o, i, 's', 0, "Out of memory. (#4.3.0)\n");
  }
  if (!e->nrcpts) outcome_message(o, 'D', "No recipient is left. (#5.1.3)\n");
  return e->nrcpts > 0;
}

static void forget_verdicts(struct link *l, struct outcome *o)
{
  o->message.letter = o->trouble = 0;
  for (size_t i = 0; i < l->envelope.nrcpts; i++) o->rcpts[l->envelope.index[i]].letter = 0;
}

/* Use the connection of the last job. 1 the verdicts hold; 0 a new one is
 * needed: the server closes its side whenever it likes, and that is nothing
 * against this message. */
static int try_kept(struct link *l, struct job const *j, struct outcome *o)
{
  if (l->conn.fd == -1) return 0;
  if (strcasecmp(l->host.s, j->host)) {
    deliver_quit(l);
    return 0;
  }
  if (transact(&l->conn, &l->settings, &l->envelope, &l->message, o) != TRANSACT_LOST) return 1;
  deliver_quit(l);
  forget_verdicts(l, o);
  return 0;
}

/* Connect to one place and try there, where a session begins before <find_end>.
 * 1 the verdicts hold; 0 the next place may do better, and what stands in <o>
 * counts when there is none. */
static int try_place(struct link *l, struct place const *p, tain const *find_end, struct outcome *o)
{
  tain const end = l->conn.limit;
  char const was = o->message.letter, trouble = o->trouble;
  if (tain_less(find_end, &end)) l->conn.limit = *find_end;
  if (!conn_open(&l->conn, p, (unsigned int)l->settings.timeoutconnect)) {
    if (was != 'Z') {
      outcome_message(o, 'Z',
                      "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n%s: %s\n",
                      l->conn.name, strerror(errno));
      o->trouble = JOB_HOST;
    }
    return 0;
  }
  if (!session_begin(&l->conn, &l->settings, o)) {
    /* One server's dislike of our name is not the last word while another could not be asked. */
    if (was == 'Z') {
      o->message.letter = 'Z';
      o->trouble = trouble;
    }
    return 0;
  }
  l->conn.limit = end;
  forget_verdicts(l, o);
  return transact(&l->conn, &l->settings, &l->envelope, &l->message, o) == TRANSACT_DONE;
}

static void try_places(struct link *l, struct places const *p, tain const *end, struct outcome *o)
{
  tain find_end;
  tain_addsec_g(&find_end, FIND_SECONDS);
  for (size_t i = 0; i < p->count && (!i || tain_future(&find_end)); i++) {
    deliver_quit(l);
    l->conn.limit = *end;
    if (try_place(l, p->list + i, &find_end, o)) return;
  }
}

static int load_settings(struct link *l, struct outcome *o)
{
  if (settings_load(&l->settings)) return 1;
  outcome_message(o, 'Z', "Unable to read control files. (#4.3.0)\n%s\n", settings_why());
  return 0;
}

static void connect_and_try(struct link *l, struct job const *j, tain const *end, struct outcome *o)
{
  struct places p;
  if (!stralloc_copys(&l->host, j->host) || !stralloc_0(&l->host)) {
    outcome_message(o, 'Z', "Out of memory. (#4.3.0)\n");
    return;
  }
  if (!load_settings(l, o)) return;
  int found = find_places(&p, j->host, &l->settings, o);
  if (*p.group && l->on_group) l->on_group(l->arg, p.group);
  if (found) try_places(l, &p, end, o);
}

void deliver(struct link *l, struct job const *j, struct outcome *o)
{
  tain end;
  if (!outcome_start(o, j->nrcpts)) return;
  tain_now_g();
  tain_addsec_g(&end, job_seconds(j->length));
  l->conn.limit = end;
  if (!build_envelope(&l->envelope, j, o)) return;
  if (!message_open(&l->message, j->fd, j->offset, j->length)) {
    outcome_message(o, 'Z', "Unable to read message. (#4.3.0)\n");
    return;
  }
  if (!try_kept(l, j, o)) connect_and_try(l, j, &end, o);
  if (l->conn.messages >= job_number(j, JOB_CONNMESSAGES, MESSAGES_MAX)) deliver_quit(l);
}

void deliver_drop(struct link *l)
{
  conn_close(&l->conn);
}

void deliver_quit(struct link *l)
{
  session_end(&l->conn);
}
