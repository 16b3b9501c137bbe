//! Patches and where they lie on a picture.

/// The patch below a point. `at` is the point from the picture's upper left corner and `size` the picture's width and
/// height, in the same unit; `grid` is patch rows and columns. `None` outside, and where there is nothing.
pub(crate) fn patch_from_pixel(at: [f64; 2], size: [f64; 2], grid: [usize; 2]) -> Option<u32> {
    let [rows, columns] = grid;
    let inside = at.iter().zip(size).all(|(&at, size)| at >= 0.0 && at < size);
    if !inside || rows == 0 || columns == 0 {
        return None;
    }
    let column = ((at[0] / size[0] * columns as f64) as usize).min(columns - 1);
    let row = ((at[1] / size[1] * rows as f64) as usize).min(rows - 1);
    u32::try_from(row * columns + column).ok()
}

/// The patch an arrow key leads to; `None` for other keys. It stops at the edge.
pub(crate) fn patch_from_key(key: &str, patch: u32, grid: [usize; 2]) -> Option<u32> {
    let [rows, columns] = grid.map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    if rows == 0 || columns == 0 {
        return None;
    }
    let (row, column) = (patch / columns, patch % columns);
    let (row, column) = match key {
        "ArrowLeft" => (row, column.saturating_sub(1)),
        "ArrowRight" => (row, (column + 1).min(columns - 1)),
        "ArrowUp" => (row.saturating_sub(1), column),
        "ArrowDown" => ((row + 1).min(rows - 1), column),
        "Home" => (row, 0),
        "End" => (row, columns - 1),
        _ => return None,
    };
    Some(row * columns + column)
}

/// The patch in the middle.
pub(crate) fn middle([rows, columns]: [usize; 2]) -> u32 {
    u32::try_from(rows / 2 * columns + columns / 2).unwrap_or(0)
}

/// "row 3, column 5", from 1, as people count.
pub(crate) fn place(patch: u32, [_, columns]: [usize; 2]) -> String {
    let columns = u32::try_from(columns).unwrap_or(u32::MAX).max(1);
    format!("row {}, column {}", patch / columns + 1, patch % columns + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_falls_on_its_patch() {
        assert_eq!(patch_from_pixel([0.0, 0.0], [100.0, 50.0], [2, 4]), Some(0));
        assert_eq!(patch_from_pixel([99.9, 49.9], [100.0, 50.0], [2, 4]), Some(7));
        assert_eq!(patch_from_pixel([25.0, 24.9], [100.0, 50.0], [2, 4]), Some(1));
        assert_eq!(patch_from_pixel([100.0, 10.0], [100.0, 50.0], [2, 4]), None);
        assert_eq!(patch_from_pixel([-0.1, 10.0], [100.0, 50.0], [2, 4]), None);
        assert_eq!(patch_from_pixel([1.0, 1.0], [100.0, 50.0], [0, 0]), None);
        assert_eq!(patch_from_pixel([0.0, 0.0], [0.0, 0.0], [2, 2]), None);
    }

    #[test]
    fn arrows_stop_at_the_edge() {
        let grid = [2, 3];
        assert_eq!(patch_from_key("ArrowRight", 0, grid), Some(1));
        assert_eq!(patch_from_key("ArrowRight", 2, grid), Some(2));
        assert_eq!(patch_from_key("ArrowUp", 1, grid), Some(1));
        assert_eq!(patch_from_key("ArrowDown", 1, grid), Some(4));
        assert_eq!(patch_from_key("End", 3, grid), Some(5));
        assert_eq!(patch_from_key("Enter", 3, grid), None);
        assert_eq!(patch_from_key("ArrowUp", 0, [0, 0]), None);
    }

    #[test]
    fn people_count_from_one() {
        assert_eq!(place(5, [2, 4]), "row 2, column 2");
        assert_eq!(middle([16, 16]), 136);
    }
}
