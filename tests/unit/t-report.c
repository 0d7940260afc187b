/* t-report.c - codes, servers and their words in the report of a delivery */

#include <string.h>

#include "check.h"
#include "../../send/bounce.h"
#include "../../send/state.h"

static struct {
  char const *why, *text, *status, *remote, *said;
} const cases[] = {
  { "a refusal", "192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no\n", "5.1.1", "192.0.2.1", "550 5.1.1 no\n" },
  { "a greeting", "Connected to 192.0.2.1 but greeting failed.\nRemote host said: 421 no\n", 0, "192.0.2.1", "421 no\n" },
  { "IPv6", "2001:db8::1 failed after I sent the message.\nRemote host said: 451-4.7.1 a\n451 4.7.1 b\n", "4.7.1", "2001:db8::1", "451-4.7.1 a\n451 4.7.1 b\n" },
  { "an address in brackets", "Connected to [192.0.2.1], but", 0, "192.0.2.1", 0 },
  { "a code in qmail's manner", "Sorry, no mailbox here by that name. (#5.1.1)\n", "5.1.1", 0, 0 },
  { "an address is no code", "4.3.2.1 accepted message.\n", 0, "4.3.2.1", 0 },
  { "a version is none", "version 5.1.1.2.3 or 15.1.1 or 5.1111.1\n", 0, 0, 0 },
  { "a code at the end", "x 5.7.1", "5.7.1", 0, 0 },
  { "an address in the second line is the server's word", "no\n192.0.2.1\n", 0, 0, 0 },
  { "nothing said", "Remote host said: ", 0, 0, 0 },
  { "nothing at all", "", 0, 0, 0 },
};

static int is(size_t n, size_t at, char const *text, char const *expected)
{
  if (!expected) return !n;
  return n == strlen(expected) && !memcmp(text + at, expected, n);
}

static struct {
  char const *why;
  char action;
  char const *text, *status;
} const judged[] = {
  { "the server's code", STATE_ACT_FAILED, "x\nRemote host said: 550 5.1.1 no\n", "5.1.1" },
  { "the class of its reply", STATE_ACT_FAILED, "x\nRemote host said: 550 no\n", "5.0.0" },
  { "a code of another class than the reply", STATE_ACT_FAILED, "x\nRemote host said: 550 4.7.1 no\n", "5.0.0" },
  { "a code in the line before is not the server's", STATE_ACT_FAILED, "(#5.7.1)\nRemote host said: 550 no\n", "5.0.0" },
  { "a code in our text", STATE_ACT_FAILED, "Sorry, no mailbox here by that name. (#5.1.1)\n", "5.1.1" },
  { "a code of another class there", STATE_ACT_FAILED, "Try later. (#4.3.0)\n", "5.0.0" },
  { "no code at all", STATE_ACT_FAILED, "no\n", "5.0.0" },
  { "too old", STATE_ACT_FAILED, "x\nRemote host said: 450 4.7.1 no\n" BOUNCE_TOO_LONG, "4.4.7" },
  { "a delay", STATE_ACT_DELAYED, "x\nRemote host said: 450 4.2.1 no\n", "4.2.1" },
  { "a delay by our fault", STATE_ACT_DELAYED, "Unable to fork. (#4.3.0)\n", "4.3.0" },
  { "a relayed one", STATE_ACT_RELAYED, "x\nRemote host said: 250 2.6.0 ok\n", "2.6.0" },
  { "a local one, whatever a program says", STATE_ACT_DELIVERED, "version 2.1.7\ndid 0+0+1\n", "2.0.0" },
  { "a long code", STATE_ACT_FAILED, "x\nRemote host said: 550 5.123.456 no\n", "5.123.456" },
};

static struct {
  char const *text;
  char action;
} const locals[] = {
  { "did 1+0+0\n", STATE_ACT_DELIVERED },      { "did 0+0+1\n", STATE_ACT_DELIVERED },
  { "did 0+1+0\nqp 7\n", STATE_ACT_RELAYED },  { "did 0+2+0\n", STATE_ACT_EXPANDED },
  { "did 0+10+0\n", STATE_ACT_EXPANDED },      { "did 1+2+0\n", STATE_ACT_DELIVERED },
  { "did 0+2+3\n", STATE_ACT_DELIVERED },      { "did 0+0+0\n", STATE_ACT_DELIVERED },
  { "hello\ndid 0+2+0\n", STATE_ACT_DELIVERED }, { "", STATE_ACT_DELIVERED },
  { "did ", STATE_ACT_DELIVERED },
};

static struct {
  char const *why, *text, *host;
} const hosts[] = {
  { "a server's name", "192.0.2.1 failed.\nRemote host is mx.example.\nRemote host said: 550 no\n", "mx.example" },
  { "no name", "192.0.2.1 failed.\nRemote host said: 550 no\n", 0 },
  { "a name in the server's words", "192.0.2.1 failed.\nRemote host said: 550-no\nRemote host is x.\n550 no\n", 0 },
  { "the same, twice", "192.0.2.1 failed.\nRemote host said: 550-no\nRemote host is x.\nRemote host said: 550 no\n", 0 },
  { "an empty name", "192.0.2.1 failed.\nRemote host is .\nRemote host said: 550 no\n", 0 },
  { "no server", "Remote host is x.\n", 0 },
};

static struct {
  char const *why, *text, *until;
} const delays[] = {
  { "a date in the last line", "no\n" BOUNCE_UNTIL "Sat, 28 Nov\n", "Sat, 28 Nov" },
  { "a date and nothing else", BOUNCE_UNTIL "x\n", "x" },
  { "no date", "no\n" BOUNCE_UNTIL "\n", 0 },
  { "no last newline", BOUNCE_UNTIL "x", 0 },
  { "a date in another line is the server's", BOUNCE_UNTIL "x\nno\n", 0 },
  { "no text", "", 0 },
};

int main(void)
{
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    size_t at = 0;
    size_t n = bounce_host(hosts[i].text, strlen(hosts[i].text), &at);
    check(is(n, at, hosts[i].text, hosts[i].host), hosts[i].why);
  }
  for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
    size_t at = 0;
    size_t n = bounce_until(delays[i].text, strlen(delays[i].text), &at);
    check(is(n, at, delays[i].text, delays[i].until), delays[i].why);
  }
  for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
    char status[BOUNCE_STATUS_MAX];
    bounce_judge(status, judged[i].action, judged[i].text, strlen(judged[i].text));
    check(!strcmp(status, judged[i].status), judged[i].why);
  }
  for (size_t i = 0; i < sizeof locals / sizeof *locals; i++)
    check(bounce_local_action(locals[i].text, strlen(locals[i].text)) == locals[i].action,
          *locals[i].text ? locals[i].text : "nothing said");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char const *t = cases[i].text;
    size_t len = strlen(t);
    size_t a = 0, b = 0, c = 0;
    size_t status = bounce_status(t, len, &a);
    size_t remote = bounce_remote(t, len, &b);
    size_t said = bounce_said(t, len, &c);
    check(is(status, a, t, cases[i].status) && is(remote, b, t, cases[i].remote) &&
              is(said, c, t, cases[i].said), cases[i].why);
  }
  return check_done();
}
