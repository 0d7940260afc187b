/* params.c - the parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (6152), AUTH (4954), those of DSN (3461) */

#include <stdint.h>
#include <string.h>

#include "auth.h"
#include "session.h"

#define AUTH_PARAM_MAX 500

static char const ret_form[] = "RET takes FULL or HDRS, and once";
static char const envid_form[] = "ENVID takes xtext of up to 100 characters, and once";
static char const notify_form[] = "NOTIFY takes NEVER, or some of SUCCESS,FAILURE,DELAY, and once";
static char const auth_form[] = "AUTH takes <> or xtext of up to 500 characters";
static char const orcpt_form[] =
    "ORCPT takes a type, a semicolon and xtext, up to 500 characters, and once";

/* What one parameter is: taken, or refused with a text. */
static char const taken[] = "";
static char const unknown[] = "parameter not known";
static char const malformed[] = "syntax error in parameters";

static char const *take_size(struct session *s, struct smtpparam const *p)
{
  if (s->size) return malformed;
  for (size_t i = 0; i < p->valuelen; i++) {
    if (p->value[i] < '0' || p->value[i] > '9') return malformed;
    uint64_t digit = (uint64_t)(p->value[i] - '0');
    s->size = s->size > (UINT64_MAX - digit) / 10 ? UINT64_MAX : s->size * 10 + digit;
  }
  return p->valuelen ? taken : malformed;
}

static char const *take_body(struct session *s, struct smtpparam const *p)
{
  s->eightbit = smtpparam_value_is(p, "8BITMIME");
  return s->eightbit || smtpparam_value_is(p, "7BIT") ? taken : malformed;
}

static char const *take_ret(struct session *s, struct smtpparam const *p)
{
  if (s->ret) return ret_form;
  s->ret = dsn_ret(p->value, p->valuelen);
  return s->ret ? taken : ret_form;
}

static char const *take_envid(struct session *s, struct smtpparam const *p)
{
  if (s->envidlen || !dsn_envid_ok(p->value, p->valuelen)) return envid_form;
  memcpy(s->envid, p->value, p->valuelen);
  s->envidlen = p->valuelen;
  return taken;
}

/* Who has sent it first: nobody is trusted to know (RFC 4954, 5), so it is as if it were <>. */
static char const *take_auth(struct smtpparam const *p)
{
  if (p->valuelen == 2 && !memcmp(p->value, "<>", 2)) return taken;
  return p->valuelen && p->valuelen <= AUTH_PARAM_MAX && dsn_xtext_decode(0, p->value, p->valuelen) == 1
             ? taken
             : auth_form;
}

static char const *take_mail(struct session *s, struct smtpparam const *p)
{
  int dsn = params_has_dsn();
  if (smtpparam_is(p, "SIZE")) return take_size(s, p);
  if (smtpparam_is(p, "BODY")) return take_body(s, p);
  if (auth_is_offered() && smtpparam_is(p, "AUTH")) return take_auth(p);
  if (dsn && smtpparam_is(p, "RET")) return take_ret(s, p);
  if (dsn && smtpparam_is(p, "ENVID")) return take_envid(s, p);
  return unknown;
}

static char const *take_rcpt(struct rcpt_params *r, struct smtpparam const *p)
{
  int dsn = params_has_dsn();
  if (dsn && smtpparam_is(p, "NOTIFY")) {
    if (r->notify) return notify_form;
    r->notify = dsn_notify(p->value, p->valuelen);
    return r->notify ? taken : notify_form;
  }
  if (dsn && smtpparam_is(p, "ORCPT")) {
    if (r->orcpt || !dsn_orcpt_type(p->value, p->valuelen)) return orcpt_form;
    r->orcpt = p->value;
    r->orcptlen = p->valuelen;
    return taken;
  }
  return unknown;
}

static int refuse(struct session *s, char const *text)
{
  session_reply(s, text == unknown ? 555 : 501, "5.5.4", text);
  return 0;
}

int params_has_dsn(void)
{
  return !submit_uses_program();
}

int params_mail(struct session *s, char const *arg, size_t len, size_t pos)
{
  struct smtpparam p;
  int r;
  s->size = s->envidlen = 0;
  s->eightbit = 0;
  s->ret = DSN_RET_NONE;
  while ((r = smtpparam_next(&p, arg, len, &pos)) == 1) {
    char const *text = take_mail(s, &p);
    if (text != taken) return refuse(s, text);
  }
  return r ? refuse(s, malformed) : 1;
}

int params_rcpt(struct session *s, struct rcpt_params *p, char const *arg, size_t len, size_t pos)
{
  struct smtpparam param;
  int r;
  *p = (struct rcpt_params){ 0 };
  while ((r = smtpparam_next(&param, arg, len, &pos)) == 1) {
    char const *text = take_rcpt(p, &param);
    if (text != taken) return refuse(s, text);
  }
  return r ? refuse(s, malformed) : 1;
}
