//! The little linear algebra that the few-shot head needs: matrices of some hundred rows, in double precision.

/// Scalar product.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side: the compiler makes vector instructions of them.
    let mut sums = [0.0_f32; 8];
    let ((a8, a1), (b8, b1)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.iter().zip(b8) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a1.iter().zip(b1).map(|(a, b)| a * b).sum::<f32>()
}

/// A dense matrix, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) data: Vec<f64>,
}

impl Matrix {
    pub(super) fn zeros(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, data: vec![0.0; rows * columns] }
    }

    pub(super) fn at(&self, row: usize, column: usize) -> f64 {
        self.data[row * self.columns + column]
    }

    pub(super) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.data[row * self.columns + column] = value;
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.columns..(row + 1) * self.columns]
    }

    /// `self * other^T`.
    pub(super) fn times_transposed(&self, other: &Matrix) -> Matrix {
        let mut out = Matrix::zeros(self.rows, other.rows);
        for i in 0..self.rows {
            for j in 0..other.rows {
                out.set(i, j, self.row(i).iter().zip(other.row(j)).map(|(a, b)| a * b).sum());
            }
        }
        out
    }

    /// Lower triangle `L` with `L L^T = self`, for a symmetric matrix that is a unit matrix plus squares: such a one has all
    /// its eigenvalues at 1 or above, so that every pivot is positive.
    pub(super) fn cholesky(&self) -> Matrix {
        let n = self.rows;
        let mut lower = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..=i {
                let known: f64 = lower.row(i)[..j].iter().zip(&lower.row(j)[..j]).map(|(a, b)| a * b).sum();
                let left = self.at(i, j) - known;
                lower.set(i, j, if i == j { left.max(f64::MIN_POSITIVE).sqrt() } else { left / lower.at(j, j) });
            }
        }
        lower
    }

    /// `X` with `self * X = right`, for a lower triangle.
    pub(super) fn solve_lower(&self, right: &Matrix) -> Matrix {
        let mut out = right.clone();
        for i in 0..self.rows {
            for k in 0..i {
                let factor = self.at(i, k);
                if factor != 0.0 {
                    for column in 0..right.columns {
                        let value = out.at(i, column) - factor * out.at(k, column);
                        out.set(i, column, value);
                    }
                }
            }
            for column in 0..right.columns {
                let value = out.at(i, column) / self.at(i, i);
                out.set(i, column, value);
            }
        }
        out
    }
}
