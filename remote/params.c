/* params.c - the parameters of DSN for MAIL and RCPT; see params.h */

#include <string.h>

#include "dsn.h"
#include "params.h"

static int add(stralloc *out, char const *start, char const *value, size_t len)
{
  return stralloc_cats(out, start) && stralloc_catb(out, value, len);
}

int params_mail(stralloc *out, char const *extras, size_t len)
{
  size_t n;
  char const *ret = dsn_find(extras, len, "RET", &n);
  if (ret && dsn_ret(ret, n) && !add(out, " RET=", ret, n)) return 0;
  char const *envid = dsn_find(extras, len, "ENVID", &n);
  return !envid || !dsn_envid_ok(envid, n) || add(out, " ENVID=", envid, n);
}

/* Append an ORCPT made of the address, if it becomes one. 1, or 0 with ENOMEM. */
static int make_orcpt(stralloc *out, char const *rcpt)
{
  static char const start[] = " ORCPT=";
  size_t was = out->len;
  size_t value = was + sizeof start - 1;
  if (!stralloc_cats(out, start) || !stralloc_cats(out, "rfc822;")) return 0;
  int r = dsn_xtext_encode(out, rcpt, strlen(rcpt));
  if (r == 1 && dsn_orcpt_type(out->s + value, out->len - value)) return 1;
  out->len = was;
  return r != -1;
}

int params_rcpt(stralloc *out, char const *extras, size_t len, char const *rcpt)
{
  char notify[DSN_NOTIFY_MAX];
  size_t n;
  dsn_notify_put(notify, dsn_find_notify(extras, len));
  if (*notify && !add(out, " NOTIFY=", notify, strlen(notify))) return 0;
  char const *orcpt = dsn_find(extras, len, "ORCPT", &n);
  if (orcpt && dsn_orcpt_type(orcpt, n)) return add(out, " ORCPT=", orcpt, n);
  return make_orcpt(out, rcpt);
}
