//! The page as a parser of HTML sees it, and names that try to be more than names.
