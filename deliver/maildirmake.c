/* maildirmake.c - make a Maildir
 *
 * usage: maildirmake dir
 *
 * exit: 0 made, 100 wrong usage, 111 it cannot be made; there may be something already.
 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/strerr.h>

#include "helper.h"
#include "program.h"

int maildirmake_main(int argc, char const *const *argv)
{
  static char const *const folders[] = {"tmp", "new", "cur"};
  if (argc != 2) strerr_dieusage(EXIT_PERMANENT, "maildirmake dir");
  if (mkdir(argv[1], 0700) == -1) strerr_diefusys(EXIT_TEMPORARY, "make ", argv[1]);
  int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir == -1) strerr_diefusys(EXIT_TEMPORARY, "open ", argv[1]);
  for (int i = 0; i < 3; i++)
    if (mkdirat(dir, folders[i], 0700) == -1)
      strerr_diefusys(EXIT_TEMPORARY, "make ", argv[1], "/", folders[i]);
  return 0;
}
