/* t-failures.c - what failed logins cost */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "failures.h"

#define MINUTE 60000ull

static uint64_t now = 1000000;

static struct failures_who who(char const *ip, char const *login)
{
  struct failures_who w;
  failures_who(&w, ip, login, strlen(login));
  return w;
}

static unsigned int fail(char const *ip, char const *login, char const *secret)
{
  struct failures_who w = who(ip, login);
  return failures_add(&w, secret, strlen(secret), now);
}

static unsigned int wait(char const *ip, char const *login)
{
  struct failures_who w = who(ip, login);
  return failures_wait(&w, now);
}

/* <n> failures with as many passwords. */
static void fail_often(char const *ip, char const *login, int n)
{
  for (int i = 0; i < n; i++) {
    char secret[16];
    snprintf(secret, sizeof secret, "%d", i);
    fail(ip, login, secret);
  }
}

int main(void)
{
  char text[64];
  check(wait("192.0.2.1", "ann") == 0, "nothing has happened");
  check(fail("192.0.2.1", "ann", "a") == 1 && fail("192.0.2.1", "ANN", "b") == 2 && fail("192.0.2.1", "ann", "c") == 4 &&
            fail("192.0.2.1", "ann", "d") == 8 && fail("192.0.2.1", "ann", "e") == 8,
        "each failure costs more, up to a bound");
  check(fail("192.0.2.2", "ann", "a") == 1, "elsewhere it begins anew");
  for (int i = 0; i < 100; i++) fail("192.0.2.3", "ann", "same");
  check(wait("192.0.2.3", "ann") == 0, "the same wrong password counts once");
  fail_often("192.0.2.4", "ann", 9);
  check(wait("192.0.2.4", "ann") == 0, "nine may go on");
  fail("192.0.2.4", "ann", "x");
  check(wait("192.0.2.4", "ann") > 0 && wait("192.0.2.4", "ann") <= 60, "ten have to wait");
  check(wait("192.0.2.4", "bob") == 0 && wait("192.0.2.5", "ann") == 0, "others have not");
  now += MINUTE;
  check(wait("192.0.2.4", "ann") == 0, "one is forgiven in a minute");
  fail_often("192.0.2.6", "ann", 1000);
  check(wait("192.0.2.6", "ann") <= 11 * 60, "no wait is for long");
  now += 11 * MINUTE;
  check(wait("192.0.2.6", "ann") == 0, "and ends");
  struct failures_who good = who("192.0.2.7", "ann");
  failures_clear(&good, now);
  for (int i = 0; i < 50; i++) {
    snprintf(text, sizeof text, "user%d", i);
    fail("192.0.2.7", text, "x");
  }
  check(wait("192.0.2.7", "user1") > 0 && wait("192.0.2.7", "new") > 0, "fifty of a network: all have to wait");
  check(wait("192.0.2.7", "ann") == 0, "but not a login that is known there");
  for (int i = 0; i < 50; i++) {
    snprintf(text, sizeof text, "2001:db8:0:7::%x", i + 1);
    fail(text, "eve", text);
  }
  check(wait("2001:db8:0:7:ffff::1", "x") > 0 && wait("2001:db8:0:8::1", "x") == 0, "a network of IPv6 is 64 bits");
  check(wait("::ffff:192.0.2.7", "new") > 0, "IPv4 in IPv6 is IPv4");
  for (int i = 0; i < 100; i++) fail("local", "zoe", "x");
  check(wait("", "other") == 0, "what is no address is no network");

  /* Somebody with many addresses fails on purpose. */
  fail_often("198.51.100.1", "victim", 12);
  for (int i = 0; i < 100000; i++) {
    snprintf(text, sizeof text, "203.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
    fail(text, "victim", "x");
  }
  check(wait("192.0.2.8", "victim") == 0, "a login is not locked out by others");
  check(fail("192.0.2.8", "victim", "x") > 1, "though its failures cost more");
  check(wait("198.51.100.1", "victim") > 0, "and those who failed once do not wash out who failed often");
  return check_done();
}
