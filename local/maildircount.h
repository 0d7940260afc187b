/* maildircount.h - go through a Maildir and add up what is in it */
#ifndef PIPIT_MAILDIRCOUNT_H
#define PIPIT_MAILDIRCOUNT_H

#include <stdint.h>

/* Of Maildir++: the folder that does not count, and the file that marks a subfolder. */
#define MAILDIRCOUNT_TRASH  ".Trash"
#define MAILDIRCOUNT_FOLDER "maildirfolder"

/* Add up the messages in new/ and cur/ of the Maildir that is open as <maildir> and of its
 * subfolders
 * (.Name), but for MAILDIRCOUNT_TRASH. Sizes are those in the names (,S=), or else the files'.
 * Links are not followed. 1; 2 when something was moved meanwhile, so that the sums may be a little
 * off; or 0 with errno. */
extern int maildircount(int maildir, uint64_t *size, uint64_t *count);

#endif
