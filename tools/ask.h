/* ask.h - a tool asks pipit-send to do something (lib/sendwire.h) */
#ifndef PIPIT_TOOLS_ASK_H
#define PIPIT_TOOLS_ASK_H

#include "selector.h"
#include "sendwire.h"

#define ASK_SECONDS 60 /* without a word from pipit-send */

#define ASK_LIST 'l' /* an option with which no mail is named */

/* Make <sel> of the arguments: -d, -s or -i with a value, "all", an id, or with <domain> also a
 * domain. <flag> is another option that there may be: it is returned, or 0. Ends the program with
 * <usage> when they are wrong. */
extern char ask_arguments(struct selector *sel, int argc, char const *const *argv, char flag,
                          int domain, char const *usage);

/* Give the command, and wait until it is done; on a terminal, tell how far it is. <held> is called
 * with each thing that SENDWIRE_LIST tells. Ends the program when there is no K: 100 refused, 111
 * not now. */
extern void ask(char command, struct selector const *sel, struct sendwire_answer *a,
                void (*held)(struct selector const *));

/* "all mail", "domain example.org" and the like, as words for people; static storage. */
extern char const *ask_words(struct selector const *sel);

/* Print "<n> message(s)<rest>". */
extern void ask_print(uint64_t n, char const *rest);

#endif
