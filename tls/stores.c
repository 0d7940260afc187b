/* stores.c - read CA certificates; see stores.h */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>

#include <skalibs/strerr.h>

#include "filestamp.h"
#include "home.h"
#include "stores.h"

#define FOLDER "control/serverca"
#define ALL    "control/serverca.pem" /* the home is the current directory */
#define SUFFIX ".pem"
_Static_assert(STORES_PATH_ROOM >= sizeof FOLDER + 1 + STORES_NAME_MAX + sizeof SUFFIX, "a path must fit");

/* Where systems have all CAs in one file; the first one that is there counts. */
static char const *const system_files[] = { "/etc/ssl/certs/ca-certificates.crt",
                                            "/etc/pki/tls/certs/ca-bundle.crt",
                                            "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };

static char const *find_all(void)
{
  if (faccessat(home_fd(), ALL, F_OK, 0) == 0) return ALL;
  for (size_t i = 0; i < sizeof system_files / sizeof *system_files; i++)
    if (access(system_files[i], R_OK) == 0) return system_files[i];
  return 0;
}

static void store_path(char path[STORES_PATH_ROOM], char const *name)
{
  snprintf(path, STORES_PATH_ROOM, FOLDER "/%s" SUFFIX, name);
}

/* The name of a file in the folder, without its end. 1, or 0: it is none of these. */
static int take_name(char name[STORES_NAME_MAX + 1], char const *file)
{
  size_t len = strlen(file), end = sizeof SUFFIX - 1;
  if (*file == '.' || len <= end || len - end > STORES_NAME_MAX || strcmp(file + len - end, SUFFIX))
    return 0;
  memcpy(name, file, len - end);
  name[len - end] = 0;
  return 1;
}

uint64_t stores_stamp(uint64_t stamp)
{
  char name[STORES_NAME_MAX + 1], path[STORES_PATH_ROOM];
  char const *all = find_all();
  stamp = filestamp_add(stamp, home_fd(), all ? all : ALL);
  stamp = filestamp_add(stamp, home_fd(), FOLDER);
  DIR *d = opendir(FOLDER);
  for (struct dirent *e; d && (e = readdir(d));) {
    if (!take_name(name, e->d_name)) continue;
    store_path(path, name);
    stamp = filestamp_add(stamp, home_fd(), path);
  }
  if (d) closedir(d);
  return stamp;
}

/* NULL: it cannot be read, or there is none in it. What is in it is believed, whoever signed it. */
static X509_STORE *read_file(char const *path)
{
  X509_STORE *store = X509_STORE_new();
  if (store && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
      X509_STORE_load_file(store, path) == 1)
    return store;
  X509_STORE_free(store);
  ERR_clear_error();
  return 0;
}

static void free_stores(struct stores *s)
{
  X509_STORE_free(s->all);
  for (size_t i = 0; i < s->count; i++) X509_STORE_free(s->list[i].store);
}

/* What was read before, where it cannot be read now. */
static X509_STORE *read_or_keep(char const *path, X509_STORE *old)
{
  X509_STORE *store = read_file(path);
  if (store) return store;
  strerr_warnw(*path == '/' ? "" : home_dir(), *path == '/' ? "" : "/", path,
               ": no certificates of CAs in PEM form can be read there",
               old ? "; those from before stay" : "");
  if (old) X509_STORE_up_ref(old);
  return old;
}

static void read_folder(struct stores *fresh, struct stores const *old)
{
  char path[STORES_PATH_ROOM];
  DIR *d = opendir(FOLDER);
  for (struct dirent *e; d && (e = readdir(d));) {
    struct store *t = fresh->list + fresh->count;
    if (fresh->count == STORES_MAX) {
      strerr_warnw(home_dir(), "/" FOLDER ": too many files; not all are read");
      break;
    }
    if (!take_name(t->name, e->d_name)) continue;
    store_path(path, t->name);
    t->store = read_or_keep(path, stores_find(old, t->name));
    if (t->store) fresh->count++;
  }
  if (d) closedir(d);
}

int stores_read(struct stores *s)
{
  struct stores fresh = { .count = 0 };
  char const *all = find_all();
  if (all) fresh.all = read_or_keep(all, s->all);
  else strerr_warnw(home_dir(), "/" ALL ": no file, and the system has no CAs: no certificate "
                    "will hold");
  if (!fresh.all) fresh.all = X509_STORE_new();
  if (!fresh.all) return 0;
  read_folder(&fresh, s);
  free_stores(s);
  fresh.file = all ? all : ALL;
  *s = fresh;
  return 1;
}

X509_STORE *stores_find(struct stores const *s, char const *name)
{
  if (!*name) return s->all;
  for (size_t i = 0; i < s->count; i++)
    if (!strcmp(s->list[i].name, name)) return s->list[i].store;
  return 0;
}

void stores_path(struct stores const *s, char path[STORES_PATH_ROOM], char const *name)
{
  if (*name) store_path(path, name);
  else snprintf(path, STORES_PATH_ROOM, "%s", s->file);
}
