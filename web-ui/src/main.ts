import { mount } from 'svelte';
import 'uplot/dist/uPlot.min.css';
import './app.css';
import Entry from './Entry.svelte';
import { language } from './lib/language.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app to mount on');

language.start();

export default mount(Entry, { target });
