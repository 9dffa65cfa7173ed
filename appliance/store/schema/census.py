"""How many jobs there are, kept by triggers: whoever asks looks at a few rows, and at no job.

Not here: the tables of before (tables), when it is made (the package).
"""

from __future__ import annotations

from typing import Final

CENSUS: Final = """
CREATE TABLE census (
    share TEXT NOT NULL,
    submitter TEXT NOT NULL,     -- '': nobody has sent it
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,       -- kept by the triggers below, in whatever transaction moves a job
    PRIMARY KEY (share, submitter, state)
) STRICT, WITHOUT ROWID;

INSERT INTO census (share, submitter, state, jobs)
SELECT share, coalesce(submitter, ''), state, count(*) FROM job GROUP BY 1, 2, 3;

CREATE TRIGGER census_born AFTER INSERT ON job
BEGIN
    INSERT INTO census (share, submitter, state, jobs)
    VALUES (new.share, coalesce(new.submitter, ''), new.state, 1)
    ON CONFLICT (share, submitter, state) DO UPDATE SET jobs = jobs + 1;
END;

CREATE TRIGGER census_gone AFTER DELETE ON job
BEGIN
    UPDATE census SET jobs = jobs - 1 WHERE share = old.share
    AND submitter = coalesce(old.submitter, '') AND state = old.state;
END;

CREATE TRIGGER census_moved AFTER UPDATE OF share, submitter, state ON job
WHEN (new.share, coalesce(new.submitter, ''), new.state)
    <> (old.share, coalesce(old.submitter, ''), old.state)
BEGIN
    UPDATE census SET jobs = jobs - 1 WHERE share = old.share
    AND submitter = coalesce(old.submitter, '') AND state = old.state;
    INSERT INTO census (share, submitter, state, jobs)
    VALUES (new.share, coalesce(new.submitter, ''), new.state, 1)
    ON CONFLICT (share, submitter, state) DO UPDATE SET jobs = jobs + 1;
END
"""
