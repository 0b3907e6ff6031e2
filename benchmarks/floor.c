/* The floor: writes the files of a tar archive from memory, as fast as a C program can.
 *
 *     cc -O2 -o floor floor.c && ./floor ARCHIVE FOLDER PROCESSES
 *
 * Plain files, links and folders of an uncompressed ustar archive, with pax headers passed over; nothing is checked.
 * Folders are made first, once; then each process writes the files of every n-th folder through its descriptor.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *data;
static size_t size;
static int root;

static size_t number(const char *digits) { return strtoull(digits, NULL, 8); }

/* Split the name of a member into its folder and what it is called there. */
static const char *place(const char *at, char *folder) {
    char name[512];
    if (at[345])
        snprintf(name, sizeof name, "%.155s/%.100s", at + 345, at);
    else
        snprintf(name, sizeof name, "%.100s", at);
    size_t length = strlen(name);
    if (length && name[length - 1] == '/') name[--length] = 0;
    char *slash = strrchr(name, '/');
    static char base[512];
    strcpy(base, slash ? slash + 1 : name);
    if (slash) *slash = 0;
    strcpy(folder, slash ? name : ".");
    return base;
}

static void make(char *folder) {
    if (!strcmp(folder, ".") || !mkdirat(root, folder, 0755)) return;
    char *slash = strrchr(folder, '/');
    if (!slash || !faccessat(root, folder, F_OK, 0)) return;
    *slash = 0;
    make(folder);
    *slash = '/';
    mkdirat(root, folder, 0755);
}

static void write_files(int which, int processes) {
    char folder[512], last[512] = "";
    int descriptor = -1, count = 0, mine = 0;
    for (char *at = data; at < data + size && at[0]; at += 512 + (number(at + 124) + 511) / 512 * 512) {
        if (at[156] == 'x' || at[156] == '5') continue;
        const char *base = place(at, folder);
        if (strcmp(folder, last)) {
            strcpy(last, folder);
            mine = count++ % processes == which;
            if (mine) {
                if (descriptor >= 0) close(descriptor);
                descriptor = openat(root, folder, O_RDONLY | O_DIRECTORY);
            }
        }
        if (!mine) continue;
        if (at[156] == '2') {
            if (symlinkat(at + 157, descriptor, base)) perror(base);
            continue;
        }
        size_t length = number(at + 124);
        int file = openat(descriptor, base, O_WRONLY | O_CREAT | O_EXCL, number(at + 100) & 0111 ? 0755 : 0644);
        if (file < 0 || write(file, at + 512, length) != (ssize_t)length) perror(base);
        close(file);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int archive = open(argv[1], O_RDONLY), processes = atoi(argv[3]);
    struct stat found;
    if (archive < 0 || fstat(archive, &found)) return 1;
    size = found.st_size;
    data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, archive, 0);
    mkdir(argv[2], 0755);
    root = open(argv[2], O_RDONLY | O_DIRECTORY);
    char folder[512], last[512] = "";
    for (char *at = data; at < data + size && at[0]; at += 512 + (number(at + 124) + 511) / 512 * 512) {
        if (at[156] == 'x') continue;
        const char *base = place(at, folder);
        if (strcmp(folder, last)) make(strcpy(last, folder));
        if (at[156] == '5') {
            if (strcmp(folder, ".")) strcat(strcat(folder, "/"), base);
            else strcpy(folder, base);
            make(folder);
        }
    }
    for (int which = 1; which < processes; which++)
        if (!fork()) {
            write_files(which, processes);
            _exit(0);
        }
    write_files(0, processes);
    while (wait(NULL) > 0) {}
    return 0;
}
