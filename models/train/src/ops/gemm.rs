//! Matrix products on one thread: training runs one thread per part of a batch.

/// A row-major matrix, read as it lies or transposed.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    /// Elements from a row to the next, and from a column to the next.
    steps: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// `data` holds `rows * columns` values.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a {rows} x {columns} matrix");
        Matrix { data, rows, columns, steps: (columns, 1) }
    }

    /// The transpose, without moving a value.
    pub(crate) fn transposed(self) -> Self {
        Matrix { rows: self.columns, columns: self.rows, steps: (self.steps.1, self.steps.0), ..self }
    }
}

/// `out += a * b`, `out` row-major.
pub(crate) fn multiply_add(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    assert_eq!(out.len(), a.rows * b.columns, "size of a product");
    if out.is_empty() || a.columns == 0 {
        return;
    }
    let step = |elements: usize| isize::try_from(elements).expect("a slice's length fits isize");
    // SAFETY: the sizes are checked above and in `Matrix::new`: every element that the strides reach lies inside its slice.
    // `out` is borrowed mutably, so it overlaps neither operand.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            step(b.columns),
            true,
            a.data.as_ptr(),
            step(a.steps.1),
            step(a.steps.0),
            b.data.as_ptr(),
            step(b.steps.1),
            step(b.steps.0),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_plain_and_transposed_matrices() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0];
        let mut out = vec![10.0; 4];
        multiply_add(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), &mut out);
        assert_eq!(out, [15.0, 21.0, 24.0, 33.0]);
        let mut out = vec![0.0; 9];
        multiply_add(Matrix::new(&a, 2, 3).transposed(), Matrix::new(&b, 3, 2).transposed(), &mut out);
        assert_eq!(out, [1.0, 6.0, 12.0, 2.0, 9.0, 15.0, 3.0, 12.0, 18.0]);
    }
}
