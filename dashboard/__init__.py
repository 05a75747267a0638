"""The pages a household opens at breakfast: figures of the engine and the record, shown plainly."""
