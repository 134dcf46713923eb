-- Who a verdict is said of, below its team: verdicts of before do not name them.
ALTER TABLE sla_verdicts ADD COLUMN person text, ADD COLUMN queue text;
