/* checkpass-pam.c - passwords of system accounts, by PAM; see checkpass.h */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skalibs/strerr.h>

#include "checkpass.h"
#include "getpw.h"

#ifdef HAVE_PAM
#include <security/pam_appl.h>

#define SERVICE "pipit" /* /etc/pam.d/pipit */

/* Whatever is asked for without echo is the password; nothing else can be answered. Where this gives up,
 * what it has allocated ends with the process, which is refused then. */
static int converse(int n, struct pam_message const **msg, struct pam_response **out, void *password)
{
  if (n <= 0 || n > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  struct pam_response *r = calloc((size_t)n, sizeof *r);
  if (!r) return PAM_BUF_ERR;
  for (int i = 0; i < n; i++) {
    int style = msg[i]->msg_style;
    if (style == PAM_ERROR_MSG || style == PAM_TEXT_INFO) continue;
    if (style == PAM_PROMPT_ECHO_OFF) r[i].resp = strdup(password);
    if (!r[i].resp) return PAM_CONV_ERR;
  }
  *out = r;
  return PAM_SUCCESS;
}

/* What says that this login or password is none; anything else is trouble. */
static int is_refusal(int code)
{
  switch (code) {
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_PERM_DENIED:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_CRED_EXPIRED:
    case PAM_CRED_INSUFFICIENT: return 1;
    default: return 0;
  }
}

/* 1, 0, or -1 after a line on stderr. */
static int ask(char const *login, char const *password)
{
  struct pam_conv const conv = { converse, (void *)password };
  pam_handle_t *h = 0;
  char const *ip = getenv("TCPREMOTEIP");
  int code = pam_start(SERVICE, login, &conv, &h);
  if (code == PAM_SUCCESS && ip) code = pam_set_item(h, PAM_RHOST, ip);
  if (code == PAM_SUCCESS) code = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
  if (code == PAM_SUCCESS) code = pam_acct_mgmt(h, PAM_SILENT);
  char const *why = pam_strerror(h, code);
  if (code != PAM_SUCCESS && !is_refusal(code)) strerr_warnw("PAM (service " SERVICE "): ", why);
  if (h) pam_end(h, code);
  return code == PAM_SUCCESS ? 1 : is_refusal(code) ? 0 : -1;
}

static void be(struct checkpass *c, struct passwd const *pw)
{
  c->is_system = 1;
  c->uid = pw->pw_uid;
  c->gid = pw->pw_gid;
  c->home = pw->pw_dir;
  c->shell = pw->pw_shell;
  snprintf(c->login, sizeof c->login, "%s", pw->pw_name);
}

/* Nobody becomes root here, so whether a password is root's is not found out either: what PAM gets is an
 * empty one, which takes as long, and as many tries, as a wrong one. */
int checkpass_pam(struct checkpass *c, char const *login, char const *password)
{
  struct passwd pw;
  char *strings = 0; /* they stay */
  int known = getpw_entry(login, &pw, &strings);
  int e = errno;
  int is_root = known == 1 && (!pw.pw_uid || !pw.pw_gid);
  int r = ask(login, is_root ? "" : password);
  if (r != 1 || is_root) return r == 1 ? 0 : r;
  errno = e;
  if (known == -1) strerr_warnwusys("look up the user ", login);
  if (known == 1) be(c, &pw);
  return known;
}

#else

int checkpass_pam(struct checkpass *c, char const *login, char const *password)
{
  (void)c;
  (void)login;
  (void)password;
  strerr_warnw("this program was built without PAM");
  return -1;
}
#endif
