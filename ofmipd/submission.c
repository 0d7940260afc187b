/* submission.c - take messages from people's mail programs; see submission.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../smtpd/mode.h"
#include "address.h"
#include "cdbmap.h"
#include "control.h"
#include "header.h"
#include "home.h"
#include "repair.h"
#include "senders.h"
#include "submission.h"

#define NAMES "control/ofmipname.cdb"

static struct header header;
static struct repair repair;
static struct senders senders;
static stralloc name; /* what the name cdb has for the sender: a name, a NUL, an address; or empty */

int submission_is_names(char const *arg)
{
  size_t len = strlen(arg);
  return !len || strchr(arg, '/') || (len > 4 && !strcmp(arg + len - 4, ".cdb"));
}

int submission_complete(struct session *s, struct smtppath *p)
{
  stralloc addr = STRALLOC_ZERO;
  int ok = stralloc_catb(&addr, p->s, p->len) && complete_address(&s->settings->hosts, &addr);
  int fits = ok && addr.len <= ADDRESS_MAX;
  if (fits) {
    memcpy(p->s, addr.s, addr.len);
    p->len = addr.len;
  }
  stralloc_free(&addr);
  if (!ok) session_reply(s, 451, "4.3.0", "out of memory");
  else if (!fits) session_reply(s, 555, "5.1.0", "address too long");
  return fits;
}

/* --- names --- */

/* 1 and <name>, 0 when there is none, -1 for trouble. Keys are exact; one in lower case is for all. */
static int find_name(struct cdbmap *map, char const *s, size_t len)
{
  char lower[ADDRESS_MAX];
  int r = cdbmap_get(map, s, len, &name);
  if (r || len > sizeof lower) return r;
  for (size_t i = 0; i < len; i++) lower[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
  return cdbmap_get(map, lower, len, &name);
}

/* Is there a name, a NUL, and an address that can be a sender? */
static int is_sound(void)
{
  char const *addr = memchr(name.s, 0, name.len);
  size_t len = addr ? name.len - (size_t)(addr - name.s) - 1 : 0;
  return addr && len <= ADDRESS_MAX && !memchr(addr + 1, 0, len) && address_is_clean(addr + 1, len);
}

static int no_names(struct session *s, char const *why)
{
  char text[400];
  snprintf(text, sizeof text, "%.200s: %s", mode.names ? mode.names : NAMES, why);
  log_trouble(text);
  session_reply(s, 451, "4.3.5", "unable to read the table of names");
  return 0;
}

static int look_up(struct session *s)
{
  struct cdbmap *map = 0;
  int dir = mode.names ? AT_FDCWD : home_fd();
  int r = cdbmap_open(&map, dir, mode.names ? mode.names : NAMES);
  if (r == 1) r = find_name(map, s->sender, s->senderlen);
  else if (!r && mode.names) r = (errno = ENOENT, -1);
  cdbmap_close(map);
  if (r == -1)
    return no_names(s, errno == EPROTO ? "not a cdb file; make it with pipit-ofmipname" : strerror(errno));
  if (r && !is_sound()) return no_names(s, "not what pipit-ofmipname makes");
  return 1;
}

int submission_sender(struct session *s)
{
  name.len = 0;
  if (!s->senderlen) return 1;
  if (!look_up(s)) return 0;
  if (!name.len) return 1;
  size_t at = strnlen(name.s, name.len) + 1;
  s->senderlen = name.len - at;
  memcpy(s->sender, name.s + at, s->senderlen);
  return 1;
}

/* --- the message --- */

static void refuse(unsigned int code, char const *status, char const *text)
{
  repair.code = code;
  repair.status = status;
  snprintf(repair.text, sizeof repair.text, "%s", text);
}

static enum repair_right may_write_as(void *data, char const *s, size_t len)
{
  struct session const *session = data;
  return senders_may(&senders, session->login, s, len) ? REPAIR_MAY : REPAIR_MAY_NOT;
}

void submission_begin(struct session *s)
{
  stralloc_free(&header.text);
  stralloc_free(&repair.out);
  header = (struct header)HEADER_ZERO(REPAIR_HEADER_MAX);
  repair = (struct repair){ .hosts = &s->settings->hosts, .idhost = &s->settings->idhost,
                            .sender = s->sender, .senderlen = s->senderlen,
                            .name = name.len ? name.s : 0, .namelen = name.len ? strlen(name.s) : 0,
                            .login = s->login[0] ? s->login : 0, .data = s };
  clock_gettime(CLOCK_REALTIME, &repair.now);
}

/* The header is there: hand it over, and what was read of the body. */
static void pass_on(struct session *s)
{
  if (repair.login) {
    if (!senders_load(&senders)) {
      log_trouble(control_why());
      refuse(451, "4.3.5", "unable to read control/senders");
      return;
    }
    repair.may_write_as = may_write_as;
  }
  if (!repair_header(&repair, header.text.s ? header.text.s : "", header.len)) return;
  submit_message(&s->submit, repair.out.s, repair.out.len);
  if (header.empty || header.text.len > header.len) submit_message(&s->submit, "\n", 1);
  if (header.text.len > header.len)
    submit_message(&s->submit, header.text.s + header.len, header.text.len - header.len);
}

static void header_failed(void)
{
  if (errno == EMSGSIZE) refuse(552, "5.3.4", "the header is longer than 1 MiB");
  else refuse(451, "4.3.0", "out of memory");
  header.ended = 1;
}

void submission_text(struct session *s, char const *text, size_t len)
{
  if (repair.code) return;
  if (!header.ended) {
    ssize_t used = header_feed(&header, text, len);
    if (used == -1) {
      header_failed();
      return;
    }
    text += used;
    len -= (size_t)used;
    if (!header.ended) return;
    pass_on(s);
    /* The line that ended it is body, and no empty line was there. */
    if (!header.empty && header.text.len == header.len && !repair.code)
      submit_message(&s->submit, "\n", 1);
  }
  if (len && !repair.code) submit_message(&s->submit, text, len);
}

void submission_end(struct session *s)
{
  if (repair.code || header.ended) return;
  if (header_finish(&header)) pass_on(s);
  else header_failed();
}

unsigned int submission_refusal(char const **status, char const **text)
{
  *status = repair.status;
  *text = repair.text;
  return repair.code;
}
