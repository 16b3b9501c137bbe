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

/// Columns for so many pictures side by side: up to three in a row, more near a square, with no hole at the end where that
/// can be had in several rows.
pub(crate) fn columns_for(count: usize) -> usize {
    if count <= 3 {
        return count.max(1);
    }
    let root = (1..).find(|side| side * side >= count).unwrap_or(1);
    let whole = |columns: &usize| count.is_multiple_of(*columns) && 2 * columns <= count;
    (root..=2 * root).find(whole).unwrap_or(root)
}

/// The patch at the same place in another grid: where its middle falls.
pub(crate) fn patch_in_grid(patch: u32, from: [usize; 2], to: [usize; 2]) -> u32 {
    let columns = from[1].max(1) as u32;
    let middle = |place: u32, count: usize| (f64::from(place) + 0.5) / count.max(1) as f64;
    let at = [middle(patch % columns, from[1]), middle(patch / columns, from[0])];
    patch_from_pixel(at, [1.0, 1.0], to).unwrap_or(0)
}

/// Every patch on the straight line between two patches, both ends included (Bresenham): a fast pointer leaves no gaps.
pub(crate) fn line(from: u32, to: u32, [_, columns]: [usize; 2]) -> Vec<u32> {
    let columns = i64::try_from(columns).unwrap_or(1).max(1);
    let place = |patch: u32| [i64::from(patch) % columns, i64::from(patch) / columns];
    let ([mut x, mut y], [to_x, to_y]) = (place(from), place(to));
    let (dx, dy) = ((to_x - x).abs(), (to_y - y).abs());
    let mut error = dx - dy;
    let mut found = Vec::new();
    loop {
        found.push(u32::try_from(y * columns + x).unwrap_or(0));
        if [x, y] == [to_x, to_y] {
            return found;
        }
        let twice = 2 * error;
        if twice > -dy {
            error -= dy;
            x += (to_x - x).signum();
        }
        if twice < dx {
            error += dx;
            y += (to_y - y).signum();
        }
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

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
    fn pictures_stand_near_a_square() {
        let found: Vec<usize> = [1, 2, 3, 5, 6, 7, 12, 16, 24, 32].map(columns_for).into();
        assert_eq!(found, [1, 2, 3, 3, 3, 3, 4, 4, 6, 8]);
        assert_eq!(columns_for(0), 1);
    }

    #[test]
    fn a_place_is_found_in_another_grid() {
        assert_eq!(patch_in_grid(5, [4, 4], [4, 4]), 5);
        assert_eq!(patch_in_grid(5, [4, 4], [2, 2]), 0);
        assert_eq!(patch_in_grid(15, [4, 4], [16, 16]), 14 * 16 + 14);
        assert_eq!(patch_in_grid(3, [0, 0], [2, 2]), 0);
        assert_eq!(patch_in_grid(3, [2, 2], [0, 0]), 0);
    }

    #[test]
    fn lines_have_no_gaps() {
        assert_eq!(line(0, 3, [4, 4]), [0, 1, 2, 3]);
        assert_eq!(line(0, 15, [4, 4]), [0, 5, 10, 15]);
        assert_eq!(line(7, 7, [4, 4]), [7]);
        let long = line(2, 61, [8, 8]);
        assert_eq!((long[0], long[long.len() - 1]), (2, 61));
        for pair in long.windows(2) {
            let step = |a: u32, b: u32| (a % 8).abs_diff(b % 8).max((a / 8).abs_diff(b / 8));
            assert_eq!(step(pair[0], pair[1]), 1, "{long:?}");
        }
    }

    #[test]
    fn people_count_from_one() {
        assert_eq!(place(5, [2, 4]), "row 2, column 2");
        assert_eq!(middle([16, 16]), 136);
    }
}
