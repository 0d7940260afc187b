/* t-rewrite.c - where recipients go, and the senders of VERP */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "control.h"
#include "rewrite.h"

static void write_control(char const *name, char const *text)
{
  char path[64];
  snprintf(path, sizeof path, "control/%s", name);
  FILE *f = fopen(path, "w");
  if (!f || fputs(text, f) == EOF || fclose(f)) exit(111);
}

static struct {
  char const *why, *in;
  int channel;
  char const *out;
} const cases[] = {
  { "a domain in locals is local", "Joe@Here.Example", CHANNEL_LOCAL, "Joe@Here.Example" },
  { "any other one is remote", "joe@there.example", CHANNEL_REMOTE, "joe@there.example" },
  { "no '@': envnoathost is added", "joe", CHANNEL_LOCAL, "joe@noat.example" },
  { "the last '@' counts", "a@b@here.example", CHANNEL_LOCAL, "a@b@here.example" },
  { "virtualdomains: the domain", "x@virt.example", CHANNEL_LOCAL, "joe-virt-x@virt.example" },
  { "virtualdomains: without regard to case", "x@VIRT.example", CHANNEL_LOCAL, "joe-virt-x@VIRT.example" },
  { "virtualdomains: user@domain comes first", "boss@virt.example", CHANNEL_LOCAL, "jane-boss@virt.example" },
  { "virtualdomains: .parent", "x@a.b.sub.example", CHANNEL_LOCAL, "sub-x@a.b.sub.example" },
  { "virtualdomains: the domain itself is not under its .parent", "x@sub.example", CHANNEL_REMOTE, "x@sub.example" },
  { "virtualdomains: an empty value is an exception", "x@out.sub.example", CHANNEL_REMOTE, "x@out.sub.example" },
  { "virtualdomains: user@domain as an exception", "me@virt.example", CHANNEL_REMOTE, "me@virt.example" },
  { "locals comes before virtualdomains", "x@both.example", CHANNEL_LOCAL, "x@both.example" },
  { "percenthack", "u%there.example@hack.example", CHANNEL_REMOTE, "u@there.example" },
  { "percenthack, twice", "u%virt.example%hack.example@hack.example", CHANNEL_LOCAL, "joe-virt-u@virt.example" },
  { "percenthack without a percent sign", "u@hack.example", CHANNEL_REMOTE, "u@hack.example" },
  { "a percent sign elsewhere", "u%there.example@here.example", CHANNEL_LOCAL, "u%there.example@here.example" },
  { "an empty address", "", CHANNEL_LOCAL, "@noat.example" },
  { "an empty domain", "u@", CHANNEL_REMOTE, "u@" },
};

static void check_routes(struct rewrite const *r)
{
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    stralloc out = STRALLOC_ZERO;
    stralloc_cats(&out, "before");
    int c = rewrite_address(r, cases[i].in, strlen(cases[i].in), &out);
    check(c == cases[i].channel && out.len == 6 + strlen(cases[i].out) && !memcmp(out.s, "before", 6) &&
              !memcmp(out.s + 6, cases[i].out, out.len - 6), cases[i].why);
    stralloc_free(&out);
  }
}

static struct {
  char const *why, *sender, *rcpt, *out;
} const senders[] = {
  { "an ordinary sender stays", "me@a", "joe@x", "me@a" },
  { "a VERP sender is expanded", "list-@a-@[]", "joe@x", "list-joe=x@a" },
  { "the last '@' of the recipient counts", "list-@a-@[]", "j@k@x", "list-j@k=x@a" },
  { "a recipient without '@' expands nothing", "list-@a-@[]", "joe", "list-@a-@[]" },
  { "the double bounce's sender is none", "#@[]", "joe@x", "#@[]" },
  { "-@[] needs another '@' before it", "list-@[]", "joe@x", "list-@[]" },
  { "the null sender stays", "", "joe@x", "" },
  { "an empty prefix", "@a-@[]", "joe@x", "joe=x@a" },
};

static void check_senders(void)
{
  for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
    stralloc out = STRALLOC_ZERO;
    int ok = verp_sender(&out, senders[i].sender, strlen(senders[i].sender), senders[i].rcpt,
                         strlen(senders[i].rcpt));
    check(ok && !strcmp(out.s, senders[i].out), senders[i].why);
    stralloc_free(&out);
  }
}

int main(void)
{
  struct rewrite r = REWRITE_ZERO;
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch) == -1 || setenv("PIPIT_HOME", ".", 1) || mkdir("control", 0755) == -1)
    return 111;
  check(!rewrite_load(&r), "without control/me nothing is known");
  write_control("me", "me.example\n");
  check(rewrite_load(&r), "control/me is enough");
  stralloc out = STRALLOC_ZERO;
  check(rewrite_address(&r, "x@Me.example", 12, &out) == CHANNEL_LOCAL, "without locals, me is local");
  write_control("locals", "here.example\nboth.example\nnoat.example\n");
  write_control("virtualdomains", "virt.example:joe-virt\nboss@virt.example:jane\nme@virt.example:\n"
                                  ".sub.example:sub\nout.sub.example:\nboth.example:never\n");
  write_control("percenthack", "hack.example\n");
  write_control("envnoathost", "noat.example\n");
  check(rewrite_load(&r), "all files can be read");
  check_routes(&r);
  check(truncate("control/percenthack", 0) == 0 && unlink("control/percenthack") == 0 &&
            mkdir("control/percenthack", 0755) == 0 && !rewrite_load(&r) && *control_why(),
        "one that cannot be read is an error");
  check_routes(&r);
  rmdir("control/percenthack");
  write_control("virtualdomains", ":all\nvirt.example:\n");
  check(rewrite_load(&r), "read again");
  out.len = 0;
  check(rewrite_address(&r, "x@any.example", 13, &out) == CHANNEL_LOCAL && out.len == 17 &&
            !memcmp(out.s, "all-x@any.example", 17), "virtualdomains: the empty key is for all others");
  out.len = 0;
  check(rewrite_address(&r, "x@virt.example", 14, &out) == CHANNEL_REMOTE, "but for an exception");
  check_senders();
  stralloc_free(&out);
  return check_done();
}
