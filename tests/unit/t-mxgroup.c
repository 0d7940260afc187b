/* t-mxgroup.c - the name that domains with the same mail exchangers share */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "../../remote/mxgroup.h"

static char out[MXGROUP_MAX + 1];

static int is(struct dns_mx const *list, size_t n, char const *expected)
{
  return mxgroup_name(out, list, n, 25) == strlen(expected) && !strcmp(out, expected);
}

int main(void)
{
  struct dns_mx list[40] = { { 10, "MX2.Example.org" }, { 10, "mx1.example.org" },
                             { 10, "mx2.example.ORG" }, { 20, "backup.example.net" } };
  check(is(list, 4, "mx1.example.org,mx2.example.org"),
        "the best ones, sorted, in lower case, each once");
  check(is(list, 1, "mx2.example.org"), "one");
  check(is(list, 0, ""), "none");
  check(mxgroup_name(out, list, 1, 2525) == 20 && !strcmp(out, "mx2.example.org:2525"), "another port");
  char before[MXGROUP_MAX + 1];
  for (size_t i = 0; i < 40; i++) {
    list[i].preference = 5;
    snprintf(list[i].name, sizeof list[i].name, "host-%zu.of.a.large.operator.example", i);
  }
  size_t len = mxgroup_name(before, list, 40, 25);
  check(len <= MXGROUP_MAX && strlen(before) == len && before[len - 17] == '#', "many: a hash at the end");
  struct dns_mx first = list[0];
  list[0] = list[39];
  list[39] = first;
  check(mxgroup_name(out, list, 40, 25) == len && !strcmp(out, before), "whatever their order");
  strcpy(list[20].name, "other.example");
  mxgroup_name(out, list, 40, 25);
  check(strcmp(out, before) != 0, "another one makes another name");
  memset(list[0].name, 'x', DNS_NAME_MAX - 1);
  list[0].name[DNS_NAME_MAX - 1] = 0;
  check(mxgroup_name(out, list, 1, 25) == 17 && *out == '#', "a name that is too long is a hash");
  return check_done();
}
