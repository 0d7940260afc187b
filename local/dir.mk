PROGRAMS += pipit-local
# What delivers, in pipit-local and in the children of pipit-lspawn.
LOCAL_SRCS := local/command.c local/delivery.c local/dotqmail.c local/folder.c local/forward.c \
	local/loop.c local/maildir.c local/maildircount.c local/maildirsize.c local/mbox.c \
	local/mboxlock.c local/message.c local/perform.c local/progress.c local/quota.c local/report.c \
	local/sizefile.c
pipit-local_SRCS := local/pipit-local.c $(LOCAL_SRCS)

t-dotqmail_SRCS := local/dotqmail.c local/report.c
t-loop_SRCS := local/loop.c
t-delivery_SRCS := local/delivery.c
# It is executed for every address that gets mail: without a library to load that takes a fifth less.
pipit-local_LIBS := -l:libskarnet.a
