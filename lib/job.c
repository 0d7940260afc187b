/* job.c - the packets between send, the spawners and the workers; see job.h */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skalibs/types.h>
#include <skalibs/uint32.h>
#include <skalibs/uint64.h>

#include "fdpass.h"
#include "job.h"

#define JOB_FIXED    29 /* bytes of a J packet before the host */
#define RESULT_FIXED 10 /* and of a note */
#define END_FIXED    5
#define GROUP_FIXED  5
#define CLASS_FIXED  6
#define TLS_FIXED    5

int job_send(int sock, struct job const *j)
{
  char fixed[JOB_FIXED] = { j->body ? 'M' : j->waits ? 'W' : 'J' };
  uint32_pack_big(fixed + 1, j->num);
  uint64_pack_big(fixed + 5, j->id);
  uint64_pack_big(fixed + 13, j->offset);
  uint64_pack_big(fixed + 21, j->length);
  struct iovec v[7] = {
    { fixed, sizeof fixed },
    { (char *)j->host, strlen(j->host) + 1 },
    { (char *)j->sender, strlen(j->sender) + 1 },
    { (char *)j->extras, j->extraslen },
    { (char *)"", 1 },
    { (char *)j->rcpts, j->rcptslen },
    { (char *)j->body, j->body ? j->length : 0 },
  };
  size_t room = JOB_PACKET_MAX;
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
    if (v[i].iov_len > room) return (errno = EMSGSIZE, -1);
    room -= v[i].iov_len;
  }
  if (!j->nrcpts || j->nrcpts > JOB_RCPTS_MAX) return (errno = EMSGSIZE, -1);
  return fdpass_send(sock, v, sizeof v / sizeof *v, &j->fd, !j->body);
}

static int send_about(int sock, char type, uint32_t num, uint32_t index, char letter,
                      char const *text, size_t textlen)
{
  char fixed[RESULT_FIXED] = { type };
  uint32_pack_big(fixed + 1, num);
  uint32_pack_big(fixed + 5, index);
  fixed[9] = letter;
  if (textlen > JOB_TEXT_MAX) textlen = JOB_TEXT_MAX;
  struct iovec v[2] = { { fixed, sizeof fixed }, { (char *)text, textlen } };
  return fdpass_send(sock, v, 2, 0, 0);
}

int job_send_result(int sock, uint32_t num, uint32_t index, char letter, char const *text,
                    size_t textlen)
{
  return send_about(sock, 'R', num, index, letter, text, textlen);
}

int job_send_note(int sock, uint32_t num, uint32_t index, char note)
{
  return send_about(sock, 'N', num, index, note, "", 0);
}

int job_send_sofar(int sock, uint32_t num, uint32_t index, char const *text, size_t len)
{
  if (len > JOB_SOFAR_MAX) return (errno = EMSGSIZE, -1);
  return send_about(sock, 'N', num, index, JOB_SOFAR, text, len);
}

int job_send_group(int sock, uint32_t num, char const *name, size_t len)
{
  char fixed[GROUP_FIXED] = { 'G' };
  uint32_pack_big(fixed + 1, num);
  if (!len || len > JOB_GROUP_MAX) return (errno = EMSGSIZE, -1);
  struct iovec v[2] = { { fixed, sizeof fixed }, { (char *)name, len } };
  return fdpass_send(sock, v, 2, 0, 0);
}

int job_send_class(int sock, uint32_t num, char class, char const *text, size_t len)
{
  char fixed[CLASS_FIXED] = { 'C' };
  uint32_pack_big(fixed + 1, num);
  fixed[5] = class;
  struct iovec v[2] = { { fixed, sizeof fixed },
                        { (char *)text, len < JOB_TEXT_MAX ? len : JOB_TEXT_MAX } };
  return fdpass_send(sock, v, 2, 0, 0);
}

int job_send_tls(int sock, uint32_t num, char const *text, size_t len)
{
  char fixed[TLS_FIXED] = { 'T' };
  uint32_pack_big(fixed + 1, num);
  if (!len || len > JOB_TLS_MAX) return (errno = EMSGSIZE, -1);
  struct iovec v[2] = { { fixed, sizeof fixed }, { (char *)text, len } };
  return fdpass_send(sock, v, 2, 0, 0);
}

static int send_number(int sock, char type, uint32_t n)
{
  char fixed[END_FIXED] = { type };
  uint32_pack_big(fixed + 1, n);
  struct iovec v = { fixed, sizeof fixed };
  return fdpass_send(sock, &v, 1, 0, 0);
}

int job_send_end(int sock, uint32_t num)
{
  return send_number(sock, 'E', num);
}

int job_send_hello(int sock, uint32_t max)
{
  return send_number(sock, 'H', max);
}

int job_send_ahead(int sock, uint32_t max)
{
  return send_number(sock, 'A', max);
}

char const *job_text(struct job const *j, char const *name)
{
  size_t n = strlen(name);
  for (size_t i = 0; i < j->extraslen; i += strlen(j->extras + i) + 1)
    if (!strncmp(j->extras + i, name, n)) return j->extras + i + n;
  return "";
}

uint32_t job_number(struct job const *j, char const *name, uint32_t otherwise)
{
  unsigned int value;
  return uint0_scan(job_text(j, name), &value) ? value : otherwise;
}

/* Take the next NUL-terminated string from s[*pos..len). NULL when none ends there. */
static char const *take_string(char const *s, size_t len, size_t *pos)
{
  char const *start = s + *pos;
  char const *end = *pos < len ? memchr(start, 0, len - *pos) : 0;
  if (!end) return 0;
  *pos += (size_t)(end - start) + 1;
  return start;
}

static int parse_job(struct job_packet *p, size_t len)
{
  struct job *j = &p->job;
  size_t pos = JOB_FIXED;
  char const *s;
  if (len < JOB_FIXED) return 0;
  uint32_unpack_big(p->buf + 1, &j->num);
  uint64_unpack_big(p->buf + 5, &j->id);
  uint64_unpack_big(p->buf + 13, &j->offset);
  uint64_unpack_big(p->buf + 21, &j->length);
  j->body = 0;
  j->waits = p->type == 'W';
  if (j->waits) p->type = 'J';
  if (p->type == 'M') {
    if (j->length > len - JOB_FIXED) return 0;
    len -= (size_t)j->length;
    j->body = p->buf + len;
  }
  j->host = take_string(p->buf, len, &pos);
  j->sender = j->host ? take_string(p->buf, len, &pos) : 0;
  if (!j->sender) return 0;
  j->extras = p->buf + pos;
  do {
    j->extraslen = (size_t)(p->buf + pos - j->extras);
    s = take_string(p->buf, len, &pos);
    if (!s) return 0;
  } while (*s);
  j->rcpts = p->buf + pos;
  j->rcptslen = len - pos;
  for (j->nrcpts = 0; pos < len; j->nrcpts++)
    if (j->nrcpts == JOB_RCPTS_MAX || !take_string(p->buf, len, &pos)) return 0;
  p->num = j->num;
  return j->nrcpts > 0;
}

static int parse_result(struct job_packet *p, size_t len)
{
  if (len < RESULT_FIXED) return 0;
  uint32_unpack_big(p->buf + 1, &p->num);
  uint32_unpack_big(p->buf + 5, &p->index);
  p->letter = p->buf[9];
  p->text = p->buf + RESULT_FIXED;
  p->textlen = len - RESULT_FIXED;
  if (p->textlen > JOB_TEXT_MAX) p->textlen = JOB_TEXT_MAX;
  return 1;
}

static int is_printable(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] <= ' ' || s[i] > '~') return 0;
  return 1;
}

static int parse_note(struct job_packet *p, size_t len)
{
  if (!parse_result(p, len)) return 0;
  if (p->letter != JOB_SOFAR) return len == RESULT_FIXED;
  return len - RESULT_FIXED <= JOB_SOFAR_MAX && is_printable(p->text, p->textlen);
}

/* A name of mail exchangers is printable ASCII without spaces. */
static int parse_group(struct job_packet *p, size_t len)
{
  if (len <= GROUP_FIXED || len > GROUP_FIXED + JOB_GROUP_MAX) return 0;
  uint32_unpack_big(p->buf + 1, &p->num);
  p->text = p->buf + GROUP_FIXED;
  p->textlen = len - GROUP_FIXED;
  return is_printable(p->text, p->textlen);
}

static int parse_class(struct job_packet *p, size_t len)
{
  if (len < CLASS_FIXED || len > CLASS_FIXED + JOB_TEXT_MAX) return 0;
  uint32_unpack_big(p->buf + 1, &p->num);
  p->letter = p->buf[5];
  p->text = p->buf + CLASS_FIXED;
  p->textlen = len - CLASS_FIXED;
  return p->letter == JOB_HOST || p->letter == JOB_NAMES || p->letter == JOB_LOGIN;
}

static int parse_tls(struct job_packet *p, size_t len)
{
  if (len <= TLS_FIXED || len > TLS_FIXED + JOB_TLS_MAX) return 0;
  uint32_unpack_big(p->buf + 1, &p->num);
  p->text = p->buf + TLS_FIXED;
  p->textlen = len - TLS_FIXED;
  for (size_t i = 0; i < p->textlen; i++)
    if (p->text[i] < ' ' || p->text[i] > '~') return 0;
  return 1;
}

static int parse(struct job_packet *p, size_t len)
{
  p->type = p->buf[0];
  switch (p->type) {
  case 'J':
  case 'W':
  case 'M': return parse_job(p, len);
  case 'N': return parse_note(p, len);
  case 'R': return parse_result(p, len);
  case 'G': return parse_group(p, len);
  case 'C': return parse_class(p, len);
  case 'T': return parse_tls(p, len);
  case 'E':
  case 'H':
  case 'A':
    if (len != END_FIXED) return 0;
    uint32_unpack_big(p->buf + 1, p->type == 'E' ? &p->num : &p->max);
    return 1;
  }
  return 0;
}

/* The end of the extras that begin at <pos>: where "#..." or nothing follows. */
static size_t extras_end(struct job const *j, size_t pos)
{
  while (pos < j->extraslen && j->extras[pos] != '#') pos += strlen(j->extras + pos) + 1;
  return pos;
}

char const *job_message_extras(struct job const *j, size_t *len)
{
  *len = extras_end(j, 0);
  return j->extras;
}

char const *job_rcpt_extras(struct job const *j, uint32_t index, size_t *pos, size_t *len)
{
  unsigned int n;
  size_t at = extras_end(j, *pos);
  *len = 0;
  if (at == j->extraslen || !uint0_scan(j->extras + at + 1, &n) || n != index) return j->extras;
  at += strlen(j->extras + at) + 1;
  *pos = extras_end(j, at);
  *len = *pos - at;
  return j->extras + at;
}

static int receive(int sock, struct job_packet *p, int flags)
{
  int fd;
  ssize_t len;
  p->job.fd = -1;
  /* ECONNRESET tells that the other side closed with packets of ours unread; those that it sent
   * before still come after it. */
  do len = fdpass_recv(sock, p->buf, sizeof p->buf, flags, &fd, 1);
  while (len == -1 && (errno == EINTR || errno == ECONNRESET));
  if (len == -1) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  if (!len) return (errno = EPIPE, -1);
  if (parse(p, (size_t)len) && (fd != -1) == (p->type == 'J')) {
    p->job.fd = fd;
    return 1;
  }
  if (fd != -1) close(fd);
  return (errno = EPROTO, -1);
}

int job_recv(int sock, struct job_packet *p)
{
  return receive(sock, p, MSG_DONTWAIT);
}

int job_wait(int sock, struct job_packet *p)
{
  return receive(sock, p, 0);
}
