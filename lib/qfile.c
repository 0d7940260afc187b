/* qfile.c - headers, sums and names of queue files; see qfile.h */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/uint32.h>
#include <skalibs/uint64.h>

#include "crc32c.h"
#include "fileat.h"
#include "qfile.h"

#define MAGIC       "pipit-q\n"
#define MAGIC_LEN   8
#define VERSION     1
#define AT_VERSION  12
#define AT_ID       16
#define AT_BIRTH    24
#define AT_NONCE    32
#define AT_MSGLEN   48
#define AT_ENVLEN   56
#define AT_UID      64
#define AT_RCPTS    68
#define AT_SUM      72
#define AT_OWN_SUM  76
#define AT_END      80
#define SPLIT_LIMIT 100000 /* subdirectories; more cannot be */
#define CHUNK       32768  /* bytes read at once for the body's sum */

void qfile_pack(char out[QFILE_HEADER], struct qfile const *q)
{
  memset(out, 0, QFILE_HEADER);
  memcpy(out, MAGIC, MAGIC_LEN);
  uint32_pack_big(out + QFILE_STATE_AT, q->state);
  uint32_pack_big(out + AT_VERSION, VERSION);
  uint64_pack_big(out + AT_ID, q->id);
  uint64_pack_big(out + AT_BIRTH, q->birth);
  memcpy(out + AT_NONCE, q->nonce, QFILE_NONCE);
  uint64_pack_big(out + AT_MSGLEN, q->msglen);
  uint64_pack_big(out + AT_ENVLEN, q->envlen);
  uint32_pack_big(out + AT_UID, q->uid);
  uint32_pack_big(out + AT_RCPTS, q->rcpts);
  uint32_pack_big(out + AT_SUM, q->sum);
  uint32_pack_big(out + AT_OWN_SUM, crc32c(0, out + AT_VERSION, AT_OWN_SUM - AT_VERSION));
}

static uint32_t get32(char const *s)
{
  uint32_t n;
  uint32_unpack_big(s, &n);
  return n;
}

static uint64_t get64(char const *s)
{
  uint64_t n;
  uint64_unpack_big(s, &n);
  return n;
}

int qfile_unpack(struct qfile *q, char const in[QFILE_HEADER])
{
  if (memcmp(in, MAGIC, MAGIC_LEN) || get32(in + AT_VERSION) != VERSION) return 0;
  if (get32(in + AT_OWN_SUM) != crc32c(0, in + AT_VERSION, AT_OWN_SUM - AT_VERSION)) return 0;
  for (int i = AT_END; i < QFILE_HEADER; i++)
    if (in[i]) return 0;
  q->state = get32(in + QFILE_STATE_AT);
  q->id = get64(in + AT_ID);
  q->birth = get64(in + AT_BIRTH);
  memcpy(q->nonce, in + AT_NONCE, QFILE_NONCE);
  q->msglen = get64(in + AT_MSGLEN);
  q->envlen = get64(in + AT_ENVLEN);
  q->uid = get32(in + AT_UID);
  q->rcpts = get32(in + AT_RCPTS);
  q->sum = get32(in + AT_SUM);
  return q->id && q->msglen <= QFILE_MSG_MAX && q->envlen <= QFILE_ENV_MAX;
}

int qfile_read(int fd, struct qfile *q)
{
  char header[QFILE_HEADER];
  struct stat st;
  ssize_t n = fileat_read(fd, header, sizeof header, 0);
  if (n == -1) return -1;
  if ((size_t)n < sizeof header || !qfile_unpack(q, header)) return 0;
  if (fstat(fd, &st) == -1) return -1;
  return (uint64_t)st.st_size >= QFILE_HEADER + q->msglen + q->envlen;
}

int qfile_check_body(int fd, struct qfile const *q)
{
  char buf[CHUNK];
  uint64_t left = q->msglen + q->envlen;
  uint64_t at = QFILE_HEADER;
  uint32_t sum = qfile_sum_start(q->nonce);
  while (left) {
    size_t want = left < sizeof buf ? (size_t)left : sizeof buf;
    ssize_t n = fileat_read(fd, buf, want, at);
    if (n == -1) return -1;
    if ((size_t)n < want) return 0;
    sum = qfile_sum_add(sum, buf, want);
    at += want;
    left -= want;
  }
  return sum == q->sum;
}

int qfile_mark(int fd, uint32_t state)
{
  char packed[4];
  uint32_pack_big(packed, state);
  return fileat_write(fd, packed, sizeof packed, QFILE_STATE_AT);
}

uint32_t qfile_sum_start(char const nonce[QFILE_NONCE])
{
  return crc32c(0, nonce, QFILE_NONCE);
}

uint32_t qfile_sum_add(uint32_t sum, char const *s, size_t len)
{
  return crc32c(sum, s, len);
}

void qfile_name(char out[QFILE_NAME_MAX], char const *dir, unsigned int split, uint64_t id)
{
  snprintf(out, QFILE_NAME_MAX, "%s/%u/%llu", dir, (unsigned int)(id % split),
           (unsigned long long)id);
}

void qfile_free_name(char out[QFILE_NAME_MAX], uint64_t name)
{
  snprintf(out, QFILE_NAME_MAX, "free/%llu", (unsigned long long)name);
}

void qfile_place(char out[QFILE_NAME_MAX], unsigned int split, uint64_t id, uint64_t name)
{
  if (name) qfile_free_name(out, name);
  else qfile_name(out, "mess", split, id);
}

int qfile_scan_id(char const *name, uint64_t *id)
{
  uint64_t n = 0;
  if (*name < '1' || *name > '9') return 0;
  for (; *name >= '0' && *name <= '9'; name++) {
    unsigned int digit = (unsigned int)(*name - '0');
    if (n > (UINT64_MAX - digit) / 10) return 0;
    n = n * 10 + digit;
  }
  if (*name) return 0;
  *id = n;
  return 1;
}

unsigned int qfile_split(int queuefd)
{
  for (unsigned int n = 0; n < SPLIT_LIMIT; n++) {
    char name[QFILE_NAME_MAX];
    struct stat st;
    snprintf(name, sizeof name, "mess/%u", n);
    if (fstatat(queuefd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) continue;
    return errno == ENOENT ? n : 0;
  }
  errno = EOVERFLOW;
  return 0;
}
