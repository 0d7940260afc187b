/* folder.h - make folders, and have them on disk with their names */
#ifndef PIPIT_FOLDER_H
#define PIPIT_FOLDER_H

/* Make the folder <path> and those above it that are missing (mode 0700), each on disk with its
 * name. It may be there already. 1, or 0 with errno. */
extern int folder_make(char const *path);

/* Make what is missing of the Maildir <path>: its own folders, those above it, and in a subfolder
 * (.Name in another Maildir) the file that marks it. 1, or 0 with errno. */
extern int folder_make_maildir(char const *path);

#endif
