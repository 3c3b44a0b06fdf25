/* The little of the C library that a plugin needs: it runs without an operating system. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Blocks are powers of two; each has its power in the 16 bytes before it, and freed blocks of
   one power are a list. */
enum { HEADER = 16, PAGE = 65536, POWERS = 32 };

extern unsigned char __heap_base;
static void *free_blocks[POWERS];
static uintptr_t end_of_heap;

static unsigned power_of(size_t size) {
    unsigned power = 5;
    while (((size_t)1 << power) < size + HEADER) {
        if (++power == POWERS) abort();
    }
    return power;
}

void *malloc(size_t size) {
    unsigned power = power_of(size);
    if (free_blocks[power]) {
        void *block = free_blocks[power];
        free_blocks[power] = *(void **)block;
        return block;
    }
    if (!end_of_heap) end_of_heap = ((uintptr_t)&__heap_base + HEADER - 1) & ~(uintptr_t)(HEADER - 1);
    uintptr_t start = end_of_heap;
    end_of_heap += (uintptr_t)1 << power;
    size_t have = __builtin_wasm_memory_size(0);
    size_t need = (end_of_heap + PAGE - 1) / PAGE;
    if (need > have && __builtin_wasm_memory_grow(0, need - have) == (size_t)-1) abort();
    *(unsigned *)start = power;
    return (void *)(start + HEADER);
}

void free(void *memory) {
    if (!memory) return;
    unsigned power = *(unsigned *)((uintptr_t)memory - HEADER);
    *(void **)memory = free_blocks[power];
    free_blocks[power] = memory;
}

void *calloc(size_t count, size_t size) {
    void *memory = malloc(count * size);
    return memset(memory, 0, count * size);
}

void *realloc(void *old, size_t size) {
    if (!old) return malloc(size);
    size_t room = ((size_t)1 << *(unsigned *)((uintptr_t)old - HEADER)) - HEADER;
    if (size <= room) return old;
    void *moved = memcpy(malloc(size), old, room);
    free(old);
    return moved;
}

void abort(void) { __builtin_trap(); }

/* Shows the host what a call costs. */
void exports_spacewright_plugin_about_ping(void) {}

/* The bindings ask for an object file with the component's type, which `plugin build` adds. */
void __component_type_object_force_link_{{world}}(void) {}

void *memcpy(void *to, const void *from, size_t size) { return memmove(to, from, size); }

void *memmove(void *to, const void *from, size_t size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    if (target < source) {
        for (size_t at = 0; at < size; at++) target[at] = source[at];
    } else {
        for (size_t at = size; at > 0; at--) target[at - 1] = source[at - 1];
    }
    return to;
}

void *memset(void *to, int byte, size_t size) {
    for (size_t at = 0; at < size; at++) ((unsigned char *)to)[at] = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const unsigned char *left = a, *right = b;
    for (size_t at = 0; at < size; at++) {
        if (left[at] != right[at]) return left[at] - right[at];
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}
