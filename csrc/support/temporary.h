/* temporary.h: files under a name of their own until they are whole.
 *
 * Each is locked (flock) while its process writes it, and the kernel gives the lock up
 * however that process ends. So what can be locked was left by a process that is dead:
 * a process id may be in use again, and says nothing on another host or in another
 * container, but the lock is asked of the file system. One without locks keeps them all. */
#ifndef BC_TEMPORARY_H
#define BC_TEMPORARY_H

/* Make NAME.tmpPID-N in a folder (which ends in a slash), a NAME that is too long cut
 * short: *path (to be freed) and a descriptor to read and write it, locked until it is
 * closed. -1, with errno. What dead processes of this user left in the folder goes, now or,
 * where a thousand files lie, in one of the next thousand calls. */
int bc_temporary_create(char **path, const char *folder, const char *name);

/* A second file beside a temporary one, for a library that locks what it writes: its lock
 * and ours need not get on (on NFS and SMB they do not). Goes with the first when that is
 * found dead; has its permissions. *path (to be freed); 0, or -1 with errno. */
int bc_temporary_second(char **path, const char *first);

#endif
