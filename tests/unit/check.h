/* check.h - the few lines every unit test needs: one "ok" or "not ok" line per case */
#ifndef PIPIT_TESTS_CHECK_H
#define PIPIT_TESTS_CHECK_H

#include <stdio.h>

static int check_failed;

static inline void check(int ok, char const *why)
{
  printf("%s - %s\n", ok ? "ok" : "not ok", why);
  if (!ok) check_failed = 1;
}

static inline int check_done(void)
{
  return check_failed;
}

#endif
