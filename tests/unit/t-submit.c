/* t-submit.c - handing messages over: to a queued that misbehaves, and to programs */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "queuewire.h"
#include "submit.h"

#define SOCKET "home/run/queue"

static struct submit s = SUBMIT_ZERO;

static int listen_here(void)
{
  struct sockaddr_un const sa = { .sun_family = AF_UNIX, .sun_path = SOCKET };
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  unlink(SOCKET);
  if (fd == -1 || bind(fd, (struct sockaddr const *)&sa, sizeof sa) == -1 || listen(fd, 5) == -1)
    exit(111);
  return fd;
}

/* Read until a frame of <type> is whole; everything is small here. 1, or 0 at the end. */
static int read_to(int fd, char type)
{
  char head[QUEUEWIRE_HEAD], scrap[65536];
  for (;;) {
    if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head) return 0;
    size_t n = (unsigned char)head[3] * 256u + (unsigned char)head[4];
    if (n && recv(fd, scrap, n, MSG_WAITALL) != (ssize_t)n) return 0;
    if (head[0] == type) return 1;
  }
}

static void say(int fd, char const *type_and_code, char const *text)
{
  char out[300] = { type_and_code[0], 0, 0, 0, (char)(strlen(text) + 1), type_and_code[1] };
  memcpy(out + 6, text, strlen(text));
  send(fd, out, 6 + strlen(text), MSG_NOSIGNAL);
}

/* Serve with <server> in a child of its own. */
static pid_t start(void (*server)(int listener))
{
  int fd = listen_here();
  pid_t pid = fork();
  if (!pid) {
    alarm(20);
    server(fd);
    _exit(0);
  }
  close(fd);
  return pid;
}

static void end(pid_t pid)
{
  kill(pid, SIGKILL);
  waitpid(pid, 0, 0);
  submit_close(&s);
}

static enum submit_result send_one(void)
{
  submit_message(&s, "Subject: x\n\n", 12);
  submit_from(&s, "a@b", 3);
  submit_extra(&s, "BODY", "8BITMIME", 8);
  submit_to(&s, "c@d", 3);
  return submit_commit(&s);
}

static void serve_one_each(int l)
{
  for (;;) { /* closes after each message, without a word */
    int fd = accept(l, 0, 0);
    if (read_to(fd, 'O')) say(fd, "K\0", "");
    if (read_to(fd, '.')) say(fd, "K\0", "1795300000000001");
    close(fd);
  }
}

static void test_reopen(void)
{
  pid_t pid = start(serve_one_each);
  int ok = 1;
  for (int i = 0; i < 5; i++) {
    ok &= submit_open(&s, 0, 0, 0) && send_one() == SUBMIT_OK && s.id == 1795300000000001;
    usleep(20000);
  }
  check(ok, "a connection that was closed while idle is replaced");
  ok = 1;
  for (int i = 0; i < 5; i++) {
    ok &= submit_open(&s, 0, 0, "from a by b") && submit_room(&s) && send_one() == SUBMIT_OK;
    usleep(20000);
  }
  check(ok, "and when its answer on the room is awaited");
  end(pid);
}

static void serve_dies_at_commit(int l)
{
  int fd = accept(l, 0, 0);
  if (read_to(fd, '.')) say(fd, "K\0", "");
}

static void serve_refuses(int l)
{
  int fd = accept(l, 0, 0);
  say(fd, "Z\107", "too many");
  close(fd);
  pause();
}

static void serve_no_room(int l)
{
  int fd = accept(l, 0, 0);
  while (read_to(fd, 'O')) {
    say(fd, "Z\065", "no room");
    read_to(fd, 'A');
  }
}

static void serve_nonsense(int l)
{
  int fd = accept(l, 0, 0);
  read_to(fd, '.');
  send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
  pause();
}

static void serve_no_id(int l)
{
  int fd = accept(l, 0, 0);
  read_to(fd, '.');
  say(fd, "K\0", "");
  say(fd, "K\0", "12x");
  pause();
}

static void test_trouble(void)
{
  check(!submit_open(&s, 0, 0, 0) && s.code == QQ_TEMPORARY && s.why[0],
        "without a queued: temporary, at once");
  pid_t pid = start(serve_dies_at_commit);
  check(submit_open(&s, 0, 0, 0) && send_one() == SUBMIT_TEMPORARY && s.code == QQ_LOST,
        "queued dies between the commit and its reply: temporary");
  end(pid);
  pid = start(serve_refuses);
  check(submit_open(&s, 0, 0, 0), "a connection that is refused opens");
  usleep(50000);
  check(!submit_room(&s) && s.code == QQ_TEMPORARY && !strcmp(s.why, "too many"),
        "and the refusal's words arrive");
  check(send_one() == SUBMIT_TEMPORARY && s.code == QQ_TEMPORARY && !strcmp(s.why, "too many"),
        "and stay until the commit");
  end(pid);
  pid = start(serve_no_room);
  int ok = 1;
  for (int i = 0; i < 3; i++) {
    ok &= submit_open(&s, 0, 1000, 0) && !submit_room(&s) && s.code == QQ_WRITE;
    submit_abort(&s);
  }
  check(ok && !strcmp(s.why, "no room"), "no room, three times over one connection");
  end(pid);
  pid = start(serve_nonsense);
  check(submit_open(&s, 0, 0, 0) && send_one() == SUBMIT_TEMPORARY,
        "nonsense for a reply: temporary");
  end(pid);
  pid = start(serve_no_id);
  check(submit_open(&s, 0, 0, 0) && send_one() == SUBMIT_TEMPORARY && !s.id,
        "success without an id: temporary");
  end(pid);
}

/* A message is taken. The next: no room, but that is only said behind its commit. Two more: no
 * room, said at once; between them one is taken. And so on. */
static void serve_room(int l)
{
  int fd = accept(l, 0, 0);
  for (;;) {
    read_to(fd, 'O');
    say(fd, "K\0", "");
    if (!read_to(fd, '.')) break;
    say(fd, "K\0", "1795300000000001");
    read_to(fd, 'O'); /* the answer comes late: who waits for it waits long */
    read_to(fd, '.');
    say(fd, "Z\065", "no room");
    say(fd, "Z\065", "no room");
    for (int i = 0; i < 2; i++) {
      read_to(fd, 'O');
      say(fd, "Z\065", "no room");
      read_to(fd, 'A');
      if (i) break;
      read_to(fd, 'O');
      say(fd, "K\0", "");
      read_to(fd, '.');
      say(fd, "K\0", "1795300000000002");
    }
  }
}

static int is_refused_early(uint64_t size)
{
  int ok = submit_open(&s, 0, size, 0) && !submit_room(&s) && s.code == QQ_WRITE;
  submit_abort(&s);
  return ok;
}

static void test_room(void)
{
  pid_t pid = start(serve_room);
  check(submit_open(&s, 0, 0, 0) && submit_room(&s) && send_one() == SUBMIT_OK,
        "the first message waits for the answer on the room");
  check(submit_open(&s, 0, 0, 0) && submit_room(&s), "the second, at once, does not");
  check(send_one() == SUBMIT_TEMPORARY && s.code == QQ_WRITE && !strcmp(s.why, "no room"),
        "that there is none comes with the commit");
  check(is_refused_early(0), "and from then on before it");
  check(submit_open(&s, 0, 0, 0) && submit_room(&s) && send_one() == SUBMIT_OK, "there is room again");
  check(is_refused_early(SUBMIT_ROOM_SIZE + 1), "a large message waits");
  check(submit_open(&s, 0, 0, 0) && submit_room(&s) && send_one() == SUBMIT_OK &&
            submit_open(&s, 0, SUBMIT_ROOM_SIZE, 0) && submit_room(&s) &&
            send_one() == SUBMIT_TEMPORARY,
        "a small one does not");
  check(is_refused_early(0) && submit_open(&s, 0, 0, 0) && submit_room(&s) && send_one() == SUBMIT_OK,
        "room again");
  usleep((SUBMIT_ROOM_MS + 100) * 1000);
  check(is_refused_early(0), "after a while one waits again");
  end(pid);
}

/* Counts the bytes of D frames of a message and answers with that number. */
static void serve_counting(int l)
{
  static char scrap[QUEUEWIRE_FRAME_MAX];
  int fd = accept(l, 0, 0);
  unsigned long bytes = 1000000;
  unsigned char h[QUEUEWIRE_HEAD];
  while (recv(fd, h, sizeof h, MSG_WAITALL) == sizeof h) {
    size_t n = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
    if (n > sizeof scrap || (n && recv(fd, scrap, n, MSG_WAITALL) != (ssize_t)n)) break;
    if (h[0] == 'D') bytes += n;
    if (h[0] == 'O') say(fd, "K\0", "");
    if (h[0] == 'A') bytes = 1000000;
    if (h[0] == '.') {
      char id[24];
      snprintf(id, sizeof id, "%lu", bytes);
      say(fd, "K\0", id);
      bytes = 1000000;
    }
  }
}

static int send_sizes(size_t const *sizes, size_t n)
{
  static char bytes[3000000];
  size_t total = 0;
  if (!submit_open(&s, 0, 0, 0)) return 0;
  for (size_t i = 0; i < n; total += sizes[i++]) submit_message(&s, bytes, sizes[i]);
  submit_from(&s, "a", 1);
  return submit_commit(&s) == SUBMIT_OK && s.id == 1000000 + total;
}

static void test_sizes(void)
{
  static size_t const sizes[] = { 0, 1,       8000, 150,  8192, 8100, 60,
                                  1, 3000000, 1,    8187, 8186, 9000 };
  int ok = 1;
  pid_t pid = start(serve_counting);
  for (size_t i = 0; i <= sizeof sizes / sizeof *sizes; i++) ok &= send_sizes(sizes, i);
  for (size_t size = 8100; size < 8200; size++) ok &= send_sizes(&size, 1);
  check(ok, "every byte arrives, whatever the pieces");
  ok = submit_open(&s, 0, 0, 0);
  submit_abort(&s);
  ok &= submit_open(&s, 0, 0, 0);
  submit_message(&s, "gone", 4);
  ok &= submit_room(&s);
  submit_message(&s, "gone", 4);
  submit_abort(&s);
  check(ok && send_sizes(sizes, 3), "after an abort nothing of that message is left");
  ok = submit_open(&s, 0, 0, 0);
  submit_from(&s, "a\0b", 3);
  ok &= submit_commit(&s) == SUBMIT_TEMPORARY && s.code == QQ_FORMAT;
  check(ok, "a NUL in an address: code 91");
  static char longest[1003];
  memset(longest, 'x', sizeof longest);
  ok = submit_open(&s, 0, 0, 0);
  submit_from(&s, "a", 1);
  submit_to(&s, longest, sizeof longest);
  ok &= submit_commit(&s) == SUBMIT_PERMANENT && s.code == QQ_TOO_LONG;
  check(ok, "an address of 1003 bytes: code 11, permanent");
  check(send_sizes(sizes, 2), "and the next message goes");
  end(pid);
}

static void write_program(char const *text)
{
  FILE *f = fopen("program", "w");
  if (!f || fprintf(f, "#!/bin/sh\n%s\n", text) < 0 || fclose(f) || chmod("program", 0755))
    exit(111);
}

static void test_programs(void)
{
  static struct {
    char const *why;
    char const *script;
    enum submit_result result;
    int code;
    char const *text; /* NULL: the code's own */
  } const programs[] = {
    { "exit 0", "cat >msg; cat <&1 >env; exit 0", SUBMIT_OK, 0, "" },
    { "exit 11", "exit 11", SUBMIT_PERMANENT, 11, 0 },
    { "exit 31", "exit 31", SUBMIT_PERMANENT, 31, 0 },
    { "exit 40", "exit 40", SUBMIT_PERMANENT, 40, 0 },
    { "exit 41", "exit 41", SUBMIT_TEMPORARY, 41, 0 },
    { "exit 53", "exit 53", SUBMIT_TEMPORARY, 53, 0 },
    { "exit 71", "cat >/dev/null; exit 71", SUBMIT_TEMPORARY, 71, 0 },
    { "exit 91", "exit 91", SUBMIT_TEMPORARY, 91, 0 },
    { "exit 100", "exit 100", SUBMIT_TEMPORARY, 100, 0 },
    { "exit 115", "exit 115", SUBMIT_PERMANENT, 115, 0 },
    { "killed", "kill -9 $$", SUBMIT_TEMPORARY, QQ_BUG, 0 },
    { "82, D on 6", "printf 'Dno spam (#5.7.1)\\n' >&6; exit 82", SUBMIT_PERMANENT, 82,
      "no spam (#5.7.1)" },
    { "82, Z on 6", "printf 'Zlater\\nplease' >&6; exit 82", SUBMIT_TEMPORARY, 82, "later please" },
    { "82, no letter", "printf 'what' >&6; exit 82", SUBMIT_TEMPORARY, 82, "what" },
    { "82, no text", "exit 82", SUBMIT_TEMPORARY, 82, 0 },
    { "88 on ERROR_FD", "eval \"printf Dvirus >&$ERROR_FD\"; exit 88", SUBMIT_PERMANENT, 88,
      "virus" },
    { "82 on ERROR_FD", "eval \"printf Zgrey >&$ERROR_FD\"; exit 82", SUBMIT_TEMPORARY, 82,
      "grey" },
    { "a text without its code", "printf Dno >&6; exit 31", SUBMIT_PERMANENT, 31, 0 },
    { "a text and success", "printf Dno >&6; exit 0", SUBMIT_OK, 0, "" },
    { "a flood of text before anything is read",
      "i=0; while [ $i -lt 3000 ]; do printf 'Dxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; "
      "i=$((i+1)); done >&6; cat >/dev/null; exit 82", SUBMIT_PERMANENT, 82, "" },
    { "a child that keeps 6 open", "sleep 3 & exit 31", SUBMIT_PERMANENT, 31, 0 },
    { "no message is read", "exec 0<&-; cat <&1 >/dev/null; exit 0", SUBMIT_OK, 0, "" },
  };
  static char large[1000000];
  setenv("QMAILQUEUE", "../program", 1); /* below the home: it runs there */
  check(submit_uses_program(), "QMAILQUEUE is seen");
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
    write_program(programs[i].script);
    int permanent, ok = submit_open(&s, SUBMIT_USE_PROGRAM, 0, 0) && submit_room(&s);
    submit_message(&s, large, sizeof large);
    enum submit_result r = send_one();
    char const *text = programs[i].text;
    if (!text) text = submit_code_text(programs[i].code, &permanent);
    ok &= r == programs[i].result && s.code == programs[i].code;
    ok &= (programs[i].text && !*text && r != SUBMIT_OK) || !strcmp(s.why, text);
    check(ok, programs[i].why);
  }
}

static int file_is(char const *name, char const *expected, size_t len)
{
  char got[256];
  FILE *f = fopen(name, "r");
  size_t n = f ? fread(got, 1, sizeof got, f) : 0;
  if (f) fclose(f);
  return n == len && !memcmp(got, expected, len);
}

static void test_program_input(void)
{
  write_program("cat >msg; cat <&1 >env; exit 0");
  check(submit_open(&s, SUBMIT_USE_PROGRAM, 0, "from x") && send_one() == SUBMIT_OK &&
            file_is("home/msg", "Subject: x\n\n", 12) && file_is("home/env", "Fa@b\0Tc@d\0", 11),
        "the program gets message and envelope, without X records, in the home");
  int ok = submit_open(&s, SUBMIT_USE_PROGRAM, 0, 0);
  submit_message(&s, "half", 4);
  submit_from(&s, "a", 1);
  submit_abort(&s);
  check(ok && file_is("home/env", "", 0), "an abort leaves no envelope");
  setenv("QMAILQUEUE", "/nonexistent", 1);
  check(submit_open(&s, SUBMIT_USE_PROGRAM, 0, 0) && send_one() == SUBMIT_TEMPORARY &&
            s.code == QQ_NOEXEC,
        "a program that does not exist: temporary, 120");
  unsetenv("QMAILQUEUE");
  check(!submit_uses_program(), "without QMAILQUEUE there is no program");
  submit_close(&s);
}

int main(void)
{
  char const *scratch = getenv("SCRATCH");
  char home[4096];
  if (!scratch || chdir(scratch) || mkdir("home", 0755) || mkdir("home/run", 0755)) return 111;
  snprintf(home, sizeof home, "%s/home", scratch);
  setenv("PIPIT_HOME", home, 1);
  signal(SIGPIPE, SIG_IGN);
  test_trouble();
  test_reopen();
  test_room();
  test_sizes();
  test_programs();
  test_program_input();
  return check_done();
}
