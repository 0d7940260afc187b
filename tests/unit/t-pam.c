/* t-pam.c - logins by PAM: what becomes of its answers, and of those of the password database */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpass.h"

#ifdef HAVE_PAM
#include <security/pam_appl.h>

/* --- stand-ins --- */

static struct pam_conv conversation;
static char tried[64];  /* what was typed */
static int permissive;  /* any password is right */
static int broken;      /* a code of PAM, or 0 */
static int trouble;     /* the code that the database answers with, or 0 */

int pam_start(char const *service, char const *user, struct pam_conv const *c, pam_handle_t **h)
{
  (void)user;
  conversation = *c;
  *h = (pam_handle_t *)&conversation;
  return strcmp(service, "pipit") ? PAM_SYSTEM_ERR : PAM_SUCCESS;
}

int pam_set_item(pam_handle_t *h, int item, void const *value)
{
  (void)h, (void)item, (void)value;
  return PAM_SUCCESS;
}

int pam_authenticate(pam_handle_t *h, int flags)
{
  struct pam_message const question = { PAM_PROMPT_ECHO_OFF, "Password: " };
  struct pam_message const *questions = &question;
  struct pam_response *answer = 0;
  (void)h, (void)flags;
  if (broken) return broken;
  if (conversation.conv(1, &questions, &answer, conversation.appdata_ptr) != PAM_SUCCESS) return PAM_CONV_ERR;
  snprintf(tried, sizeof tried, "%s", answer->resp);
  free(answer->resp);
  free(answer);
  return permissive || !strcmp(tried, "right") ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int pam_acct_mgmt(pam_handle_t *h, int flags)
{
  (void)h, (void)flags;
  return PAM_SUCCESS;
}

char const *pam_strerror(pam_handle_t *h, int code)
{
  (void)h, (void)code;
  return "out of order";
}

int pam_end(pam_handle_t *h, int code)
{
  (void)h, (void)code;
  return PAM_SUCCESS;
}

static struct passwd users[] = {
  { .pw_name = (char *)"joe", .pw_uid = 7, .pw_gid = 8, .pw_dir = (char *)"/home/joe", .pw_shell = (char *)"/bin/false" },
  { .pw_name = (char *)"root", .pw_uid = 0, .pw_gid = 9, .pw_dir = (char *)"/", .pw_shell = (char *)"/bin/sh" },
  { .pw_name = (char *)"wheel", .pw_uid = 9, .pw_gid = 0, .pw_dir = (char *)"/", .pw_shell = (char *)"/bin/sh" },
};

static struct passwd *find(char const *name)
{
  for (size_t i = 0; i < sizeof users / sizeof *users; i++)
    if (!trouble && !strcmp(users[i].pw_name, name)) return &users[i];
  return 0;
}

int getpwnam_r(char const *name, struct passwd *pw, char *buf, size_t len, struct passwd **result)
{
  (void)buf, (void)len;
  struct passwd const *found = find(name);
  if (found) *pw = *found;
  *result = found ? pw : 0;
  return trouble;
}

struct passwd *getpwnam(char const *name)
{
  errno = trouble;
  return find(name);
}

/* --- what is tested --- */

static int log_in(char const *login, char const *password)
{
  static struct checkpass c;
  c = (struct checkpass)CHECKPASS_ZERO;
  *tried = 0;
  int r = checkpass_pam(&c, login, password);
  if (r != 1) return r;
  check(c.is_system && c.uid == 7 && c.gid == 8 && !strcmp(c.home, "/home/joe") && !strcmp(c.shell, "/bin/false") &&
            !strcmp(c.login, "joe"),
        "it is that user");
  return r;
}

int main(void)
{
  check(log_in("joe", "right") == 1, "the right password");
  check(log_in("joe", "wrong") == 0 && !strcmp(tried, "wrong"), "a wrong one");
  check(log_in("nobody", "wrong") == 0 && log_in("nobody", "right") == 0, "whom the database does not know");
  trouble = EIO;
  check(log_in("joe", "right") == -1, "a database that does not answer is trouble");
  check(log_in("joe", "wrong") == 0, "but a wrong password is one");
  trouble = ENOENT;
  check(log_in("joe", "right") == -1, "whatever it does not answer with");
  trouble = 0;
  for (permissive = 0; permissive < 2; permissive++)
    for (int i = 1; i < 3; i++)
      check(log_in(users[i].pw_name, "right") == 0 && !*tried, "root's password is wrong, and not tried");
  permissive = 0;
  broken = PAM_AUTHINFO_UNAVAIL;
  check(log_in("joe", "right") == -1 && log_in("root", "right") == -1, "PAM's trouble is trouble");
  broken = PAM_USER_UNKNOWN;
  check(log_in("joe", "right") == 0, "what it refuses is refused");
  return check_done();
}

#else

int main(void)
{
  printf("skip - built without PAM\n");
  return check_done();
}
#endif
