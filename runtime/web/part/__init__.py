"""What a part of the page is given, and what it gives: routes with the role that each needs, answers, refusals."""
