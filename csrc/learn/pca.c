/* pca.c: principal components. */
#include "pca.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../support/blas.h"
#include "../support/error.h"

/* LAPACK, as OpenBLAS has it; lapacke.h is in another package. */
void dsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a,
             const int *lda, const double *vl, const double *vu, const int *il, const int *iu,
             const double *abstol, int *m, double *w, double *z, const int *ldz, int *isuppz,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info);

/* value (k, of greatest) and vector (k, m), both in falling order, of symmetric a (m, m), which
 * is overwritten. */
static int eigen(double *value, double *vector, double *a, size_t m, size_t k) {
    int order = (int)m, from = (int)(m - k + 1), found = 0, info = 0, query = -1, iquery = 0;
    double none = 0, want = 0, *w = malloc(m * sizeof *w), *z = malloc(m * k * sizeof *z);
    double *work = NULL;
    int *support = malloc(2 * m * sizeof *support), *iwork = NULL, rc = BC_NOMEM;
    if (w == NULL || z == NULL || support == NULL) goto out;
    dsyevr_("V", "I", "U", &order, a, &order, &none, &none, &from, &order, &none, &found, w, z,
            &order, support, &want, &query, &iquery, &query, &info);
    int room = (int)want, iroom = iquery;
    work = malloc((size_t)room * sizeof *work);
    iwork = malloc((size_t)iroom * sizeof *iwork);
    if (work == NULL || iwork == NULL) goto out;
    dsyevr_("V", "I", "U", &order, a, &order, &none, &none, &from, &order, &none, &found, w, z,
            &order, support, work, &room, iwork, &iroom, &info);
    rc = info == 0 && found == (int)k ? BC_OK : BC_FAIL;
    for (size_t i = 0; rc == BC_OK && i < k; i++) {
        value[i] = w[k - 1 - i];
        memcpy(vector + i * m, z + (k - 1 - i) * m, m * sizeof *z);
    }
out:
    free(w);
    free(z);
    free(support);
    free(work);
    free(iwork);
    return rc;
}

/* To length 1, the largest entry positive; of entries that only rounding tells apart the first. */
static void orient(double *v, size_t d) {
    double most = 0, square = 0;
    for (size_t c = 0; c < d; c++) {
        if (fabs(v[c]) > fabs(most) * (1 + 1e-9)) most = v[c];
        square += v[c] * v[c];
    }
    double scale = square > 0 ? (most < 0 ? -1 : 1) / sqrt(square) : 0;
    for (size_t c = 0; c < d; c++) v[c] *= scale;
}

/* y = x without its mean; returns the sum of its squares. */
static double centre(double *y, double *mean, const double *x, size_t n, size_t d) {
    double sum = 0;
    memset(mean, 0, d * sizeof *mean);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) mean[c] += x[i * d + c];
    for (size_t c = 0; c < d; c++) mean[c] /= (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < d; c++) {
            double v = x[i * d + c] - mean[c];
            /* a constant column may keep the rounding of its mean */
            if (fabs(v) <= 1e-14 * fabs(mean[c])) v = 0;
            y[i * d + c] = v;
            sum += v * v;
        }
    return sum;
}

int pca(double *component, double *variance, double *mean, double *score, double *total,
        const double *x, size_t n, size_t d, size_t k) {
    size_t m = n < d ? n : d;
    double *y = malloc(n * d * sizeof *y), *a = malloc(m * m * sizeof *a);
    double *vector = malloc(k * m * sizeof *vector), sum;
    int rc = BC_NOMEM;
    if (y == NULL || a == NULL || vector == NULL) goto out;
    sum = centre(y, mean, x, n, d);
    bc_blas_alone();
    /* LAPACK's upper triangle, by columns, is the lower one by rows */
    cblas_dsyrk(CblasRowMajor, CblasLower, n < d ? CblasNoTrans : CblasTrans, (int)m,
                (int)(n < d ? d : n), 1, y, (int)d, 0, a, (int)m);
    rc = eigen(variance, vector, a, m, k);
    for (size_t i = 0; rc == BC_OK && i < k; i++) {
        double *v = component + i * d;
        if (n < d)
            cblas_dgemv(CblasRowMajor, CblasTrans, (int)n, (int)d, 1, y, (int)d, vector + i * m, 1,
                        0, v, 1);
        else
            memcpy(v, vector + i * m, d * sizeof *v);
        if (!(variance[i] > 1e-14 * sum)) {
            variance[i] = 0;
            memset(v, 0, d * sizeof *v);
        }
        orient(v, d);
        variance[i] /= (double)(n > 1 ? n - 1 : 1);
    }
    if (rc == BC_OK)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)k, (int)d, 1, y, (int)d,
                    component, (int)d, 0, score, (int)k);
    bc_blas_release();
    *total = sum / (double)(n > 1 ? n - 1 : 1);
out:
    free(y);
    free(a);
    free(vector);
    return rc;
}
