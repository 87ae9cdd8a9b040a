/* select.c: order statistics (Hoare's selection). */
#include "select.h"

float bc_select_kth(float *x, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        float pivot = x[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (x[i] < pivot) i++;
            while (x[j] > pivot) j--;
            if (i >= j) break;
            float t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        }
        /* x[low..j] <= pivot <= x[j+1..high]; keep the side of k */
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return x[k];
}
