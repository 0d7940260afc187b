/* t-dotqmail.c - lines of dot-qmail files, read from any bytes */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "../../local/dotqmail.h"

static struct read_case {
  char const *why, *file;
  int xbit, result;
  char const *list;    /* a letter and the text of each instruction, separated by ';' */
  char const *refusal; /* how it begins */
} const cases[] = {
    {"each kind", "#c\n./m/\n/a/b\n|c d\n&a@b\nc@d\n", 0, 1, "d./m/;b/a/b;pc d;fa@b;fc@d", 0},
    {"blanks at the end go", "./m/ \t\n|x  \n", 0, 1, "d./m/;px", 0},
    {"no newline at the end", "./m/", 0, 1, "d./m/", 0},
    {"blank lines but the first", "#\n\n \t\n./m", 0, 1, "b./m", 0},
    {"a blank first line", "\n./m", 0, 1, "", "Uh-oh: first line"},
    {"one of blanks", " \n./m", 0, 1, "", "Uh-oh: first line"},
    {"an empty file", "", 1, 1, "d./default/", 0},
    {"blanks before an address", "& a@b\n\tc@d\n", 0, 1, "fa@b;fc@d", 0},
    {"a forward to nobody", "a@b\n& \n", 0, 1, "fa@b", "Uh-oh: .qmail has a forward"},
    {"x bit and forwards", "&a@b\n", 1, 1, "fa@b", 0},
    {"x bit and a file", "&a@b\n./m\n", 1, 1, "fa@b", "Uh-oh: .qmail has file"},
    {"x bit and a program", "&a@b\n|x\n", 1, 1, "fa@b", "Uh-oh: .qmail has prog"},
    {"+list", "./m\n+list\n&a@b\n|x\n", 0, 1, "b./m;fa@b", "Uh-oh: .qmail has prog"},
    {"other plus lines", "+lists\n+\n./m\n", 0, 1, "b./m", 0},
    {"a slash alone is a folder", "/\n", 0, 1, "d/", 0},
    {"a program of nothing", "|\n", 0, 1, "p", 0},
};

static void put(char const *s, size_t len, int xbit)
{
  int fd = open(".qmail", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd == -1 || write(fd, s, len) != (ssize_t)len || fchmod(fd, xbit ? 0700 : 0600) || close(fd))
    exit(111);
}

static int read_file(struct dotqmail *q)
{
  struct dotqmail_file f;
  struct report r;
  *q = (struct dotqmail){.list = 0};
  if (!dotqmail_find(&f, "", "", &r)) return 0;
  return dotqmail_read(q, &f, "./default/", &r);
}

static void show(struct dotqmail const *q, char *out, size_t size)
{
  size_t n = 0;
  out[0] = 0;
  for (size_t i = 0; i < q->count && n < size; i++)
    n += (size_t)snprintf(out + n, size - n, "%s%c%s", i ? ";" : "", "dbpf"[q->list[i].kind],
                          q -> list[i].text);
}

static void table(void)
{
  char list[256];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct read_case const *c = cases + i;
    struct dotqmail q;
    put(c->file, strlen(c->file), c->xbit);
    int r = read_file(&q);
    show(&q, list, sizeof list);
    check(r == c->result && !strcmp(list, c->list) &&
              (c->refusal ? q.refusal && !strncmp(q.refusal, c->refusal, strlen(c->refusal))
                          : !q.refusal),
          c->why);
  }
}

/* Any bytes: never a crash, and no instruction with a byte that is not in the file. */
static void noise(void)
{
  static char const bytes[] = "#./|&+ \t\na@\0\xff-list";
  char s[64];
  int good = 1;
  srand(1);
  for (int i = 0; i < 3000; i++) {
    struct dotqmail q;
    size_t len = (size_t)rand() % sizeof s, total = 0;
    for (size_t k = 0; k < len; k++) s[k] = bytes[(size_t)rand() % (sizeof bytes - 1)];
    put(s, len, 0);
    if (read_file(&q))
      for (size_t k = 0; k < q.count; k++) total += strlen(q.list[k].text);
    good &= total <= (len ? len : strlen("./default/"));
    free(q.list);
    stralloc_free(&q.text);
  }
  check(good, "3000 files of noise");
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  if (!scratch || chdir(scratch)) return 111;
  table();
  noise();
  return check_done();
}
