/* pca.h: principal components. */
#ifndef BC_PCA_H
#define BC_PCA_H

#include <stddef.h>

/* The first k directions of greatest variance of the rows of x (n, d), finite, n >= 1, d >= 1,
 * 1 <= k <= min(n, d): component (k, d), of length 1, with the entry of largest
 * absolute value positive (the first of equals), as scikit-learn's svd_flip has it; variance
 * (k), along each, divided by n - 1 (n = 1: by 1), *total: that of all directions; mean (d);
 * score (n, k): where the rows lie along them, from the mean.
 * Eigenvectors of the covariance, or of the rows' products where these are fewer, by LAPACK's
 * dsyevr. Where there is no variance left, variance is 0 and the component is zeros.
 * BC_OK, BC_NOMEM, or BC_FAIL: LAPACK found no eigenvectors. */
int pca(double *component, double *variance, double *mean, double *score, double *total,
        const double *x, size_t n, size_t d, size_t k);

#endif
