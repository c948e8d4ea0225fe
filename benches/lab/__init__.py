"""What benches/compare is made of: images, file systems to keep them on, pairs of runs, a report."""
