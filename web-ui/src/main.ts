import { mount } from 'svelte';
import 'uplot/dist/uPlot.min.css';
import './app.css';
import Entry from './Entry.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app to mount on');

export default mount(Entry, { target });
