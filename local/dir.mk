# What delivers: pipit-local, and the children of pipit-lspawn; they are one file.
LOCAL_SRCS := local/command.c local/delivery.c local/dotqmail.c local/folder.c local/forward.c \
	local/loop.c local/maildir.c local/maildircount.c local/maildirsize.c local/mbox.c \
	local/mboxlock.c local/message.c local/perform.c local/progress.c local/quota.c local/report.c \
	local/sizefile.c
t-dotqmail_SRCS := local/dotqmail.c local/report.c
t-loop_SRCS := local/loop.c
t-delivery_SRCS := local/delivery.c
