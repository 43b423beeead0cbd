/* The least a libfuse 2 server can do: a read-only view of a folder. What it costs is the floor for anyone on libfuse 2. */
#define FUSE_USE_VERSION 26
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int root;

static const char *below(const char *path) { return path[1] ? path + 1 : "."; }

static int do_getattr(const char *path, struct stat *status)
{
    return fstatat(root, below(path), status, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info)
{
    int fd = openat(root, below(path), O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    (void)offset;
    (void)info;
    if (!folder)
        return -errno;
    while ((entry = readdir(folder)))
        fill(buffer, entry->d_name, NULL, 0);
    closedir(folder);
    return 0;
}

static int do_open(const char *path, struct fuse_file_info *info)
{
    int fd = openat(root, below(path), O_RDONLY);

    if (fd < 0)
        return -errno;
    info->fh = fd;
    return 0;
}

static int do_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    ssize_t count = pread(info->fh, buffer, size, offset);

    (void)path;
    return count < 0 ? -errno : (int)count;
}

static int do_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    close(info->fh);
    return 0;
}

static const struct fuse_operations operations = {
    .getattr = do_getattr, .readdir = do_readdir, .open = do_open, .read = do_read, .release = do_release,
};

int main(int argc, char **argv)
{
    char *arguments[] = {argv[0], "-f", "-o", "ro", argv[argc - 1], NULL};

    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER MOUNTPOINT\n", argv[0]);
        return 2;
    }
    root = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (root < 0) {
        perror(argv[1]);
        return 1;
    }
    return fuse_main(5, arguments, &operations, NULL);
}
